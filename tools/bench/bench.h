/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What traffic, hops and the profiler agree on.
 */
#ifndef _BENCH_H
#define _BENCH_H

/* UDP and TCP port of the traffic. */
#define BENCH_PORT		5000
#define BENCH_PORT_TEXT		"5000"

/* First byte of a payload as it is sent, and as hops rewrite it. */
#define BENCH_ORIGINAL		'o'
#define BENCH_REWRITTEN		'x'

/* A no-op that the profiler (a QEMU plugin) knows: nopl MARK(%rax). */
#define PROFILE_START		0x64697673
#define PROFILE_STOP		0x64697665

static inline void profile_start(void)
{
	asm volatile("nopl %c0(%%rax)" : : "i" (PROFILE_START) : "memory");
}

static inline void profile_stop(void)
{
	asm volatile("nopl %c0(%%rax)" : : "i" (PROFILE_STOP) : "memory");
}

#endif /* _BENCH_H */
