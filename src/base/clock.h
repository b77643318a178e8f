/* Elapsed time, for progress, logs and benchmarks. No result depends on it. */
#ifndef D4M_BASE_CLOCK_H
#define D4M_BASE_CLOCK_H

double clock_now(void); /* seconds since some moment in the past; never goes back */

#endif
