// SPDX-License-Identifier: GPL-2.0
/*
 * Faults while a network namespace is made and while its first socket brings
 * the hooks, in settings, and while the module is loaded.
 *
 * TIMEOUT=600
 */

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "fault_test.h"
#include "kselftest_harness.h"

/* What divert.ko does comes last, in a new namespace and in its own loading:
 * faults are counted from the end.
 */
#define NAMESPACE_FAULTS	60
#define LOADING_FAULTS		100

FIXTURE(namespace)
{
	struct faults f;
};

static int home;

FIXTURE_SETUP(namespace)
{
	faults_open(&self->f);
	home = ns_open();
}

FIXTURE_TEARDOWN(namespace)
{
	ns_enter(home);
	loop_send(&self->f.loop, LOOP_WAITING);
	EXPECT_TRUE(loop_unharmed(&self->f.loop));
}

static int call_unshare(struct faults *f)
{
	(void)f;
	return errno_of(unshare(CLONE_NEWNET));
}

static bool check_unshare(struct faults *f, int err)
{
	/* Whatever it made, it is whole. */
	if (!err)
		close(divert_open(PORT));
	ns_enter(home);
	return faults_passes(f);
}

static const struct walk walk_unshare = { call_unshare, check_unshare };

TEST_F_TIMEOUT(namespace, S10_new_namespace, 240)
{
	EXPECT_TRUE(faults_walk_back(&self->f, &walk_unshare,
				     NAMESPACE_FAULTS));
}

static int call_first_socket(struct faults *f)
{
	f->fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT);
	return errno_of(f->fd);
}

static bool check_first_socket(struct faults *f, int err)
{
	if (!err)
		close(f->fd);
	close(divert_open(PORT));
	return !call_unshare(f);
}

static const struct walk walk_first_socket = {
	call_first_socket, check_first_socket
};

TEST_F_TIMEOUT(namespace, D2_first_socket, 240)
{
	ASSERT_EQ(0, call_unshare(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_first_socket));
}

/* What binding asks of the namespace for the first time: defragmentation. */
static int call_first_bind(struct faults *f)
{
	return divert_bind(f->fd, PORT);
}

static bool check_first_bind(struct faults *f, int err)
{
	bool good = !err || !call_first_bind(f);

	close(f->fd);
	good = !call_unshare(f) && good;
	f->fd = divert_socket();
	return good;
}

static const struct walk walk_first_bind = {
	call_first_bind, check_first_bind
};

TEST_F_TIMEOUT(namespace, D6_first_bind, 240)
{
	ASSERT_EQ(0, call_unshare(&self->f));
	self->f.fd = divert_socket();
	EXPECT_TRUE(faults_walk(&self->f, &walk_first_bind));
}

/* Writing to it brings the hooks, too. */
static int call_setting(struct faults *f)
{
	(void)f;
	return sysctl_write(DIVERT_SYSCTL("no_listener"), "drop");
}

static bool check_setting(struct faults *f, int err)
{
	bool dropping = !strcmp(sysctl_read(DIVERT_SYSCTL("no_listener")),
				"drop");

	return (err || dropping) && !call_setting(f) && !call_unshare(f);
}

static const struct walk walk_setting = { call_setting, check_setting };

TEST_F_TIMEOUT(namespace, D7_setting, 240)
{
	ASSERT_EQ(0, call_unshare(&self->f));
	EXPECT_TRUE(faults_walk(&self->f, &walk_setting));
}

static int load(int fd)
{
	return errno_of(syscall(SYS_finit_module, fd, "", 0));
}

static int unload(void)
{
	return errno_of(syscall(SYS_delete_module, "divert", O_NONBLOCK));
}

static bool traces(void)
{
	return !access("/proc/net/divert", F_OK) ||
	       !access("/proc/sys/net/divert", F_OK) ||
	       !access("/sys/module/divert", F_OK);
}

FIXTURE(module)
{
	int fd;
};

FIXTURE_SETUP(module)
{
	struct utsname uts;
	char path[128];

	faults_prepare();
	uname(&uts);
	snprintf(path, sizeof(path), "build/%s/divert.ko", uts.release);
	self->fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(module)
{
	EXPECT_TRUE(traces());
}

TEST_F_TIMEOUT(module, S8_load, 240)
{
	int n, err, met = 0, failed = 0;

	ASSERT_EQ(0, unload());
	faults_arm(FAULTS_MAX);
	err = load(self->fd);
	n = FAULTS_MAX - faults_disarm();
	ASSERT_EQ(0, err);

	for (; met < LOADING_FAULTS && n > 0; n--) {
		ASSERT_EQ(0, unload());
		faults_arm(n);
		err = load(self->fd);
		met += !faults_disarm();
		if (!err)
			continue;
		failed++;
		EXPECT_FALSE(traces())
			TH_LOG("fault %d: %s", n, strerror(-err));
		ASSERT_EQ(0, load(self->fd));
	}
	printf("# %d faults, %d of them fatal\n", met, failed);
	EXPECT_LT(0, failed);
}

TEST_HARNESS_MAIN
