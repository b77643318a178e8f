#include "lab/page.h"
#include "base/html.h"
#include "eval/plot.h"
#include <math.h>

static const char style[] =
    ":root{--paper:#fff;--ink:#1a1d21;--soft:#5b626c;--line:#d9dde3;--card:#f5f6f8;--warn:#fff3d6;--warn-"
    "line:#d99a00;"
    "--accent:#1f6fd0;--c0:#1f6fd0;--c1:#d9541e;--c2:#12896a;--c3:#8a4bc2;--c4:#8a6d00;color-scheme:light "
    "dark}\n"
    "@media "
    "(prefers-color-scheme:dark){:root{--paper:#14171c;--ink:#e6e8eb;--soft:#9aa3af;--line:#333a45;--card:#"
    "1d2229;"
    "--warn:#3a2e10;--warn-line:#c78f1a;--accent:#6aa8f0;--c0:#6aa8f0;--c1:#f2895a;--c2:#4cc3a0;--c3:#bf8fe8;"
    "--c4:#d4b545}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);"
    "font:16px/1.55 system-ui,\"Segoe UI\",\"DejaVu Sans\",sans-serif}\n"
    "main{max-width:1120px;margin:0 auto;padding:28px 20px "
    "60px}h1{font-size:1.9rem;line-height:1.2;margin:.2em 0 .1em;"
    "overflow-wrap:anywhere}h2{font-size:1.25rem;margin:2.2em 0 .6em;padding-bottom:.25em;border-bottom:1px "
    "solid "
    "var(--line)}\n"
    ".sub,.note,figcaption{color:var(--soft)}.note,figcaption{font-size:.88rem}.sub{margin:0 0 1.2em}\n"
    ".banner,.alert{border-left:4px solid var(--warn-line);background:var(--warn);padding:.7em "
    "1em;margin:1em 0;"
    "border-radius:4px}.banner{font-weight:600}\n"
    ".cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:1.4em 0}"
    ".card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 16px}"
    ".card b{display:block;font-size:1.75rem;line-height:1.25;font-variant-numeric:tabular-nums}.card "
    "span{color:"
    "var(--soft);font-size:.88rem}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:"
    "tabular-nums}"
    "th,td{padding:.38em .7em;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}"
    "thead th{color:var(--soft);font-weight:600;border-bottom:2px solid "
    "var(--line)}td.n,th.n{text-align:right;"
    "white-space:nowrap}td.r{white-space:nowrap}tbody "
    "th{font-weight:600;overflow-wrap:anywhere;min-width:7em}.facts th{width:14em;color:"
    "var(--soft);font-weight:500}.facts td{overflow-wrap:anywhere}.row td,.row "
    "th{border-bottom-color:transparent}\n"
    ".tag{display:inline-block;font-size:.75rem;font-weight:600;border:1px solid "
    "var(--warn-line);border-radius:99px;"
    "padding:0 .6em;margin-left:.4em;white-space:nowrap}\n"
    "figure{margin:1.2em 0 2em}figure "
    "img{width:100%;height:auto;display:block;border-radius:6px}figcaption{margin-top:"
    ".5em;overflow-wrap:anywhere}\n"
    ".plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:18px}"
    ".plots svg{border:1px solid var(--line);border-radius:6px;padding:4px}\n"
    "details{margin:1em "
    "0}summary{cursor:pointer;color:var(--accent)}pre{white-space:pre-wrap;overflow-wrap:anywhere;"
    "background:var(--card);border:1px solid var(--line);border-radius:6px;padding:12px;font-size:.82rem}"
    "li{overflow-wrap:anywhere}footer{margin-top:3em;padding-top:1em;border-top:1px solid "
    "var(--line);color:var(--soft);"
    "font-size:.88rem}\n"
    "@media (max-width:600px){main{padding:16px 12px 40px}h1{font-size:1.5rem}th,td{padding:.35em "
    ".45em}.facts th{width:"
    "8em}figure img{min-width:760px}}\n"
    "@media "
    "print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--card:#fff;--warn:#fff;--c0:#1f6fd0;--c1:#"
    "d9541e;"
    "--c2:#12896a;--c3:#8a4bc2;--c4:#8a6d00;color-scheme:light}body{font-size:11pt}main{max-width:none;"
    "padding:0}"
    "figure,.cards,tr,.plots svg{break-inside:avoid}h2{break-after:avoid}.wide{overflow:visible}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}\n";

void page_open(struct str *html, const char *title, const char *subtitle)
{
    str_add(html,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
            "content=\"width=device-width, initial-scale=1\">\n<title>");
    html_add_text(html, title);
    str_add(html, "</title>\n<style>\n");
    str_add(html, style);
    str_add(html, plot_css);
    str_add(html, "\n</style>\n</head>\n<body>\n<main>\n<section>\n<h1>");
    html_add_text(html, title);
    str_add(html, "</h1>\n<p class=\"sub\">");
    html_add_text(html, subtitle);
    str_add(html, "</p>\n<p class=\"banner\">" RESEARCH_ONLY "</p>\n");
}

void page_section(struct str *html, const char *heading)
{
    str_add(html, "</section>\n<section>\n<h2>");
    html_add_text(html, heading);
    str_add(html, "</h2>\n");
}

void page_close(struct str *html, const char *foot)
{
    str_add(html, "</section>\n<footer><p>" RESEARCH_ONLY "</p>\n<p>");
    html_add_text(html, foot);
    str_add(html, "</p></footer>\n</main>\n</body>\n</html>\n");
}

void page_number(struct str *html, double v, int digits)
{
    if (isnan(v))
        str_add(html, "<td class=\"n\">\xE2\x80\x93</td>");
    else
        str_addf(html, "<td class=\"n\">%.*f</td>", digits, v);
}

void page_fact(struct str *html, const char *name, const char *text)
{
    str_add(html, "<tr><th scope=\"row\">");
    html_add_text(html, name);
    str_add(html, "</th><td>");
    html_add_text(html, text);
    str_add(html, "</td></tr>\n");
}
