// SPDX-License-Identifier: GPL-2.0
/* Which processes hold a socket: those with a descriptor of its inode. */

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sockets.h"

static void read_command(int dir, char *command, size_t size)
{
	int fd = openat(dir, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? -1 : read(fd, command, size - 1);

	if (fd >= 0)
		close(fd);
	command[len > 0 ? len : 0] = 0;
	command[strcspn(command, "\n")] = 0;
}

static void add_owner(struct socket *socket, int dir, pid_t pid)
{
	struct owner *owner;
	struct stat st;

	/* Once, with however many descriptors */
	if (socket->owners_n && socket->owners[socket->owners_n - 1].pid == pid)
		return;
	socket->owners = must_resize(socket->owners, (socket->owners_n + 1) *
						     sizeof(*owner));
	owner = &socket->owners[socket->owners_n++];
	*owner = (struct owner){ .pid = pid };
	if (!fstat(dir, &st))
		owner->uid = st.st_uid;
	read_command(dir, owner->command, sizeof(owner->command));
}

static void look_at_link(struct sockets *sockets, int dir, pid_t pid, int fds,
			 const char *name)
{
	unsigned long long inode;
	char target[64];
	ssize_t len;

	len = readlinkat(fds, name, target, sizeof(target) - 1);
	if (len < 0)
		return;
	target[len] = 0;
	if (sscanf(target, "socket:[%llu]", &inode) != 1)
		return;
	for (size_t i = 0; i < sockets->n; i++)
		if (sockets->at[i].inode == inode)
			add_owner(&sockets->at[i], dir, pid);
}

static void look_at_process(struct sockets *sockets, int dir, pid_t pid)
{
	int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *fds = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!fds)
		return;
	while ((entry = readdir(fds)))
		look_at_link(sockets, dir, pid, fd, entry->d_name);
	closedir(fds);
}

void owners_read(struct sockets *sockets)
{
	DIR *proc = sockets->n ? opendir("/proc") : NULL;
	struct dirent *entry;
	int dir;

	if (!proc)
		return;
	while ((entry = readdir(proc))) {
		if (!isdigit((unsigned char)*entry->d_name))
			continue;
		dir = openat(dirfd(proc), entry->d_name,
			     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (dir < 0)
			continue;
		look_at_process(sockets, dir, atoi(entry->d_name));
		close(dir);
	}
	closedir(proc);
}
