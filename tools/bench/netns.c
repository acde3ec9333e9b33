// SPDX-License-Identifier: GPL-2.0
/*
 * Make many network namespaces that have divert's hooks, and keep them.
 */

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

/* The first write brings the hooks. */
static void hooks_make(void)
{
	static const char value[] = "drop";
	int fd = open("/proc/sys/net/divert/no_listener", O_WRONLY);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("netns: net.divert.no_listener");
	close(fd);
}

int main(int argc, char **argv)
{
	struct rlimit limit = { 1 << 16, 1 << 16 };
	int i, n = argc == 2 ? atoi(argv[1]) : 0;

	if (n <= 0) {
		fputs("usage: netns count   say \"ready\", then wait for a signal\n",
		      stderr);
		return 2;
	}
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("netns: RLIMIT_NOFILE");
	for (i = 0; i < n; i++) {
		if (unshare(CLONE_NEWNET))
			die("netns: unshare");
		hooks_make();
		if (open("/proc/self/ns/net", O_RDONLY) < 0)
			die("netns: /proc/self/ns/net");
	}
	puts("ready");
	fflush(stdout);
	pause();
	return EXIT_SUCCESS;
}
