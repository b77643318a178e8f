/* What the control groups (v2 or v1) of this process leave to it. Containers and batch systems set such
 * limits; the machine's own numbers do not show them. */
#ifndef D4M_BASE_CGROUP_H
#define D4M_BASE_CGROUP_H

#include <stdint.h>

struct cgroup {
    double cpus; /* CPU quota in CPUs; 0 if there is none */
    /* bytes still allowed, page cache counted as free; UINT64_MAX if there is no limit */
    uint64_t memory_free;
};

/* `membership` is /proc/self/cgroup and `root` /sys/fs/cgroup (tests give others). The tightest limit of the
 * group and the groups above it counts; whatever cannot be read is no limit. */
struct cgroup cgroup_read(const char *membership, const char *root);

#endif
