// SPDX-License-Identifier: GPL-2.0
/*
 * usage: suricata PORT
 * In the manner of Suricata's ipfw source: one thread reads, another one gives
 * verdicts, both by one address, that of whichever packet was read last. Waits
 * by poll(POLLRDNORM) and SO_RCVTIMEO; of the errors of a write it survives
 * EHOSTDOWN and ENETDOWN only.
 */

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS	64

struct slot {
	ssize_t len;
	unsigned char data[IP_MAXPACKET];
};

static struct slot ring[SLOTS];
static unsigned int head, tail;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static pthread_cond_t room = PTHREAD_COND_INITIALIZER;

static int fd;
static struct sockaddr_in last;	/* both threads', as there */
static socklen_t last_len;

static void *verdicts(void *arg)
{
	struct slot *slot;

	for (;;) {
		pthread_mutex_lock(&lock);
		while (head == tail)
			pthread_cond_wait(&more, &lock);
		pthread_mutex_unlock(&lock);

		slot = &ring[tail % SLOTS];
		if (sendto(fd, slot->data, slot->len, 0,
			   (struct sockaddr *)&last, last_len) == -1 &&
		    errno != EHOSTDOWN && errno != ENETDOWN)
			err(1, "write to ipfw divert socket failed");

		pthread_mutex_lock(&lock);
		tail++;
		pthread_cond_signal(&room);
		pthread_mutex_unlock(&lock);
	}
	return arg;
}

static void receive(void)
{
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	struct slot *slot;

	pthread_mutex_lock(&lock);
	while (head - tail == SLOTS)
		pthread_cond_wait(&room, &lock);
	pthread_mutex_unlock(&lock);

	slot = &ring[head % SLOTS];
	slot->len = recvfrom(fd, slot->data, sizeof(slot->data), 0,
			     (struct sockaddr *)&sin, &len);
	if (slot->len == -1) {
		if (errno != EINTR && errno != EWOULDBLOCK)
			err(1, "read from ipfw divert socket failed");
		return;
	}

	pthread_mutex_lock(&lock);
	last = sin;
	last_len = len;
	head++;
	pthread_cond_signal(&more);
	pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv)
{
	struct timeval timev = { .tv_sec = 1 };
	struct sockaddr_in sin;
	struct pollfd pfd;
	pthread_t thread;

	if (argc < 2)
		errx(1, "usage: suricata PORT");
#ifdef PF_DIVERT
	fd = socket(PF_DIVERT, SOCK_RAW, 0);
#else
	fd = socket(PF_INET, SOCK_RAW, IPPROTO_DIVERT);
#endif
	if (fd == -1)
		err(1, "can't create divert socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timev, sizeof(timev)))
		err(1, "can't set divert socket timeout");
	memset(&sin, 0, sizeof(sin));
	sin.sin_family = PF_INET;
	sin.sin_addr.s_addr = INADDR_ANY;
	sin.sin_port = htons(atoi(argv[1]));
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1)
		err(1, "can't bind divert socket on port %s", argv[1]);
	if (pthread_create(&thread, NULL, verdicts, NULL))
		errx(1, "thread");

	for (;;) {
		pfd.fd = fd;
		pfd.events = POLLRDNORM;
		if (poll(&pfd, 1, 1000) > 0 && pfd.revents & POLLRDNORM)
			receive();
	}
}
