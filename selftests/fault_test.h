/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of faults share: memory that is not there. Every allocation
 * and every copy from or to user space that a call makes fails, one at a time:
 * the first in one call, the second in the next, until a call meets none. The
 * call says so, or what is lost is counted; nothing changes half, and the next
 * packet works. That nothing leaks is found by the debug kernel at the end of
 * all tests.
 */
#ifndef _FAULT_TEST_H
#define _FAULT_TEST_H

#include "divert_test.h"

/* More faults than any call here can meet. */
#define FAULTS_MAX	100000

/* Where a walk begins: a loop in a new namespace with a packet waiting. */
struct faults {
	struct loop loop;
	struct counters before;	/* before the call that fails */
	int fd;			/* what the test is about */
	int plain;		/* sends what is not diverted */
	int option;
	bool faulty;		/* the last call met its fault */
	int met;		/* faults so far */
};

/* What a test does: @call is what fails, in its first, second, ... place; it
 * returns -errno. @check tells whether all is well after it, and prepares the
 * next call.
 */
struct walk {
	int (*call)(struct faults *f);
	bool (*check)(struct faults *f, int err);
};

/* On one CPU, so that packets keep their order. */
void faults_open(struct faults *f);
/* Make faults possible, for a test that has no loop. */
void faults_prepare(void);
/* This thread's n-th allocation or copy from now on fails. */
void faults_arm(int n);
/* Return: how many more it would have taken; 0: one has failed. */
int faults_disarm(void);

/* True if all was well. */
bool faults_walk(struct faults *f, const struct walk *walk);
/* The same for the last faults of a long call, which has ever fewer that are
 * still to come; at most so many.
 */
bool faults_walk_back(struct faults *f, const struct walk *walk, int most);

/* Another packet comes through. */
bool faults_passes(struct faults *f);
/* Packets with this payload that have arrived before one that is sent now;
 * -1 if that one does not arrive.
 */
int faults_arrived(struct faults *f, int payload);

#endif /* _FAULT_TEST_H */
