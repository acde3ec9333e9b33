/* SPDX-License-Identifier: GPL-2.0 */
/* The divert sockets of this network namespace, and its counters. */
#ifndef _SOCKETS_H
#define _SOCKETS_H

#include <sys/types.h>

#include <linux/divert.h>

#include "divertctl.h"

struct owner {
	pid_t pid;
	uid_t uid;
	char command[64];
};

struct socket {
	uint16_t port;
	/** @family: AF_INET or AF_INET6, 0 = not known */
	uint8_t family;
	uint64_t inode;
	uint64_t cookie;
	uint32_t uid;
	/** @memory, @memory_max: of the receive queue, in bytes */
	uint32_t memory, memory_max;
	uint32_t drops;
	/** @has_stats: @stats are there, and so is @memory_max */
	bool has_stats;
	struct divert_stats stats;
	struct owner *owners;
	size_t owners_n;
};

struct sockets {
	struct socket *at;
	size_t n;
};

/* sockets.c: in order of ports. By sock_diag, or, where the module for that is
 * not there, by /proc, which tells less.
 */
int sockets_read(struct sockets *sockets, struct error *err);
void sockets_free(struct sockets *sockets);
/* Packets queued and not yet read */
uint64_t socket_waiting(const struct socket *socket);
const char *family_name(int family);
/* Name of a user, or the number in a static buffer. */
const char *user_name(uid_t uid);

/* owners.c: processes that hold the sockets, of those we may look into */
void owners_read(struct sockets *sockets);

/* counters.c: /proc/net/stat/divert, all CPUs together */
#define COUNTERS_MAX	64

struct counters {
	int n;
	char name[COUNTERS_MAX][24];
	uint64_t value[COUNTERS_MAX];
};

int counters_read(struct counters *counters, struct error *err);
uint64_t counter_value(const struct counters *counters, const char *name);
const char *counter_help(const char *name);

/* One number of struct divert_stats */
struct stat_field {
	const char *name;
	size_t offset;
	/** @lost: a packet that was lost */
	bool lost;
	/** @refused: a write that was refused */
	bool refused;
};

#define STAT_FIELDS	28
extern const struct stat_field stat_fields[STAT_FIELDS];
uint64_t stat_value(const struct divert_stats *stats,
		    const struct stat_field *field);

#endif /* _SOCKETS_H */
