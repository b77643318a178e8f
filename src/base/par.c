#define _GNU_SOURCE /* sched_getaffinity, CPU_COUNT */
#include "base/par.h"

#include "base/cgroup.h"
#include <math.h>
#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

/* The size of the team is a property of the process, like the CPUs it runs on. */
static atomic_int team;

int par_cpus(void)
{
    struct cgroup c = cgroup_read("/proc/self/cgroup", "/sys/fs/cgroup");
    cpu_set_t set;
    int n = 1;

    CPU_ZERO(&set);
    if (!sched_getaffinity(0, sizeof set, &set))
        n = CPU_COUNT(&set);
    else
        n = omp_get_num_procs(); /* more CPUs than cpu_set_t holds */
    if (c.cpus > 0 && ceil(c.cpus) < n)
        n = (int)ceil(c.cpus);
    return n > 0 ? n : 1;
}

void par_set_threads(int n)
{
    int use = n > 0 ? n : par_cpus();

    atomic_store(&team, use);
    omp_set_num_threads(use);
}

int par_threads(void)
{
    int n = atomic_load(&team);

    if (n)
        return n;
    n = par_cpus();
    atomic_store(&team, n);
    return n;
}

void par_for(int64_t n, void (*body)(void *ctx, int64_t i), void *ctx)
{
    int threads = par_threads();

    if (n < threads)
        threads = n > 0 ? (int)n : 1;
    if (threads == 1 || omp_in_parallel()) {
        for (int64_t i = 0; i < n; i++)
            body(ctx, i);
        return;
    }
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
    for (int64_t i = 0; i < n; i++)
        body(ctx, i);
}
