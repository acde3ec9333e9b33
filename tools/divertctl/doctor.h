/* SPDX-License-Identifier: GPL-2.0 */
/*
 * divertctl doctor: doctor.c asks, findings are one line each.
 *
 *	ruleset.c	what other rules of nft do with marks, flowtables
 *	hooks.c		which hooks there are
 *	fwmark.c	what routing does with marks
 */
#ifndef _DOCTOR_H
#define _DOCTOR_H

#include "rule.h"
#include "sockets.h"

enum level { GOOD, NOTE, WARNING, PROBLEM };

/* "LEVEL subject: what, and what to do" */
void __printf(3, 4) found(enum level level, const char *subject,
			  const char *format, ...);

struct diagnosis {
	struct conf conf;
	struct sockets sockets;
	struct table table;
};

/* Is a socket bound to this port? */
bool listens(const struct diagnosis *d, unsigned int port);
/* The port that a mark names, 0 if none */
unsigned int mark_port(const struct conf *conf, uint32_t mark);

void examine_hooks(const struct diagnosis *d);
void examine_ruleset(const struct diagnosis *d);
void examine_fwmarks(const struct diagnosis *d);

#endif /* _DOCTOR_H */
