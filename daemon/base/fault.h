/* Named points between two steps. In tests/debitd_faults a test can kill or stop the process there,
 * as the steps must be safe to be parted (tests/rig/fault.c); in tests/debitd_profile the steps are
 * timed (tests/bench/phases.c). In debitd they are nothing. */
#ifndef DEBITD_BASE_FAULT_H
#define DEBITD_BASE_FAULT_H

#ifdef FAULT_POINTS
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void)0)
#endif

#endif
