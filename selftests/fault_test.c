// SPDX-License-Identifier: GPL-2.0
/* What the tests of faults share; see fault_test.h. */

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>

#include "fault_test.h"

#define DEBUGFS	"/sys/kernel/debug/"

static int fail_nth = -1;

/* Before any test. */
static void __attribute__((__constructor__)) skip_without_faults(void)
{
	if (!access(DEBUGFS "fail_usercopy", F_OK) &&
	    !access("/proc/self/fail-nth", F_OK))
		return;
	puts("1..0 # SKIP this kernel injects no faults");
	exit(4);
}

static void write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die("%s", path);
	close(fd);
}

/* Also what may sleep can fail, and a single page; the log stays empty. */
void faults_prepare(void)
{
	static const char *const settings[][2] = {
		{ "failslab/verbose", "0" },
		{ "failslab/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/verbose", "0" },
		{ "fail_page_alloc/ignore-gfp-wait", "N" },
		{ "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ "fail_page_alloc/min-order", "0" },
		{ "fail_usercopy/verbose", "0" },
	};
	char path[80];
	int i;

	for (i = 0; i < ARRAY_LEN(settings); i++) {
		snprintf(path, sizeof(path), DEBUGFS "%s", settings[i][0]);
		write_file(path, settings[i][1]);
	}
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		die("fail-nth");
}

void faults_open(struct faults *f)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity");
	loop_open(&f->loop);
	f->plain = udp_open(NULL, 0);
	faults_prepare();
	/* What is made once, with the first packet, is made. */
	if (!loop_pass(&f->loop, LOOP_WAITING))
		die("a packet through the loop");
}

void faults_arm(int n)
{
	if (dprintf(fail_nth, "%d", n) < 0)
		die("fail-nth");
}

/* Looking may itself be what fails. */
int faults_disarm(void)
{
	char left[16] = "";
	int n = pread(fail_nth, left, sizeof(left) - 1, 0) > 0 ? atoi(left) : 1;

	while (dprintf(fail_nth, "0") < 0)
		;
	return n;
}

/* What the kernel's BPF compiler says, but has no name here. */
#define ENOTSUPP	524

static bool fault_error(int err)
{
	switch (err) {
	case 0: case -ENOMEM: case -ENOBUFS: case -EFAULT: case -ENFILE:
	case -ENOTSUPP:
		return true;
	}
	return false;
}

/* Return: whether the n-th failed. */
static bool walk_step(struct faults *f, const struct walk *walk, int n,
		      bool *good)
{
	int err;

	counters_read(&f->before);
	faults_arm(n);
	err = walk->call(f);
	f->faulty = !faults_disarm();
	f->met += f->faulty;
	if (f->faulty ? !fault_error(err) : err) {
		fprintf(stderr, "# fault %d: %s\n", n, strerror(-err));
		*good = false;
	}
	if (!walk->check(f, err)) {
		fprintf(stderr, "# wrong after fault %d: %s\n", n,
			strerror(-err));
		*good = false;
	}
	return f->faulty;
}

static bool walk_end(const struct faults *f, bool good)
{
	printf("# %d faults\n", f->met);
	return good && f->met;
}

bool faults_walk(struct faults *f, const struct walk *walk)
{
	bool good = true;
	int n = 1;

	f->met = 0;
	while (walk_step(f, walk, n, &good))
		n++;
	return walk_end(f, good);
}

bool faults_walk_back(struct faults *f, const struct walk *walk, int most)
{
	bool good = true;
	int n, err;

	counters_read(&f->before);
	faults_arm(FAULTS_MAX);
	err = walk->call(f);
	n = FAULTS_MAX - faults_disarm();
	f->faulty = false;
	if (err || !walk->check(f, err))
		return false;

	for (f->met = 0; f->met < most && n > 0; n--)
		walk_step(f, walk, n, &good);
	return walk_end(f, good);
}

bool faults_passes(struct faults *f)
{
	loop_send(&f->loop, 20);
	return loop_pass(&f->loop, 20);
}

int faults_arrived(struct faults *f, int payload)
{
	static __u8 data[65536];
	int n, count = 0;

	udp_send(f->plain, LOOP, 1);
	while ((n = udp_receive(f->loop.rx, data, sizeof(data))) > 1)
		count += n == payload;
	return n == 1 ? count : -1;
}
