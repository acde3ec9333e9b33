// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-pass: let all packets of a divert port go on as they are. What to begin
 * a daemon with; daemon.c has the loop.
 */

#include <err.h>

#include "daemon.h"

static const char usage[] = "divert-pass [-m plain|hold] PORT";

static enum verdict decide(void *data, size_t len,
			   const union divert_addr *addr)
{
	(void)data;
	(void)len;
	(void)addr;
	return PASS;
}

int main(int argc, char **argv)
{
	int i = parse_options(argc, argv, usage);

	if (argc - i != 1)
		errx(2, "usage: %s", usage);
	run_daemon(argv[i], decide);
}
