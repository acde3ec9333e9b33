// SPDX-License-Identifier: GPL-2.0
/*
 * Bind many divert ports, and keep them; or open, bind and close one for ever,
 * whether the module is there or not.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <linux/divert.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
"usage: manyports first count   bind so many ports, say \"ready\", wait for SIGTERM\n"
"       manyports churn port    open, bind, close until SIGTERM\n";

static volatile sig_atomic_t stop;

static void die(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static int open_bound(unsigned int port)
{
	struct sockaddr_in sin = {
		.sin_family	= AF_INET,
		.sin_port	= htons(port),
	};
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_DIVERT);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&sin, sizeof(sin))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void churn(unsigned int port)
{
	unsigned long done = 0;
	int fd;

	while (!stop) {
		fd = open_bound(port);
		if (fd >= 0) {
			done++;
			close(fd);
		}
		/* Leave the module a chance to go. */
		if (done % 8 == 0)
			usleep(rand() % 100000);
	}
	printf("total opened=%lu\n", done);
}

static void keep(unsigned int first, unsigned int count)
{
	struct rlimit limit = { .rlim_cur = count + 16, .rlim_max = count + 16 };
	unsigned int i;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("manyports: setrlimit");
	for (i = 0; i < count; i++)
		if (open_bound(first + i) < 0)
			die("manyports: bind");
	puts("ready");
	while (!stop)
		pause();
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };

	if (argc != 3) {
		fputs(usage, stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	sigaction(SIGTERM, &action, NULL);

	if (!strcmp(argv[1], "churn"))
		churn(atoi(argv[2]));
	else
		keep(atoi(argv[1]), atoi(argv[2]));
	return EXIT_SUCCESS;
}
