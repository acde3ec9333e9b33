// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * divert-pass: read packets from a divert port and write them back unaltered,
 * as many in one system call as there are. What to begin a daemon with.
 */

#include <err.h>
#include <errno.h>
#include <stdlib.h>

#include <libdivert/libdivert.h>

static struct divert *open_port(unsigned int port)
{
	struct divert *divert = divert_open(AF_INET);

	if (!divert)
		errx(1, "%s", divert_strerror(errno));
	if (divert_bind(divert, port))
		errx(1, "port %u: %s", port, divert_strerror(errno));
	return divert;
}

int main(int argc, char **argv)
{
	int port = argc == 2 ? atoi(argv[1]) : 0;
	struct divert_batch *batch;
	struct divert *divert;
	int n;

	if (port < 1 || port > 65534)
		errx(2, "usage: divert-pass PORT (1-65534)");

	divert = open_port(port);
	batch = divert_batch_alloc(64, 0);
	if (!batch)
		err(1, "memory");

	for (;;) {
		n = divert_batch_recv(divert, batch);
		if (n < 0 && errno != EINTR)
			err(1, "read");
		/* To drop the i-th one: divert_batch_msg(batch, i)->len = 0; */
		if (n > 0)
			divert_batch_send(divert, batch, n);
	}
}
