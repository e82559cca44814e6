/* Named points at which a test can kill or stop the process: between two steps that must be safe
 * to be parted. They exist in tests/debitd_faults alone (tests/rig/fault.c); in debitd they are
 * nothing. */
#ifndef DEBITD_BASE_FAULT_H
#define DEBITD_BASE_FAULT_H

#ifdef FAULT_POINTS
void fault_point(const char *name);
#define FAULT_POINT(name) fault_point(name)
#else
#define FAULT_POINT(name) ((void)0)
#endif

#endif
