// SPDX-License-Identifier: GPL-2.0
/* Ports of the model: who is bound, and whose a packet is; see model_test.h. */

#include "model_test.h"

struct mport *model_port(struct mworld *w, int port)
{
	if (port < PORT || port >= PORT + PORTS)
		return NULL;
	return &w->port[port - PORT];
}

/* All packets leave and come by lo. */
bool model_listens(const struct msocket *s)
{
	return !(s->shut & 1) && (!s->bound || s->bound == LO);
}

/* The first owner that listens, from this one on. */
static int listening_from(const struct mworld *w, const struct mport *port,
			  int first)
{
	int i, owner;

	for (i = 0; i < port->owners; i++) {
		owner = port->owner[(first + i) % port->owners];
		if (model_listens(&w->socket[owner]))
			return owner;
	}
	return -1;
}

static int owner_by_hash(struct mworld *w, struct mport *port,
			 unsigned int *may)
{
	unsigned int who = 0;
	int i, owner = -1;

	for (i = 0; i < port->owners; i++) {
		if (!(*may & 1 << port->owner[i]))
			continue;
		owner = listening_from(w, port, i);
		if (owner < 0)
			return -1;
		who |= 1 << owner;
	}
	if (!(who & (who - 1)))
		return owner;

	owner = w->who(who);
	if (owner < 0)
		w->overflow = true;
	for (i = 0; i < port->owners; i++)
		if (listening_from(w, port, i) != owner)
			*may &= ~(1 << port->owner[i]);
	return owner;
}

int model_owner(struct mworld *w, struct mport *port,
		const struct mpacket *p)
{
	if (port->program && port->chosen < port->owners)
		return listening_from(w, port, port->chosen);
	return owner_by_hash(w, port, &port->may[model_receiver(p)][p->flow]);
}

static bool may_share(const struct mworld *w, const struct mport *port, int i)
{
	return !port->owners ||
	       (w->socket[i].reuseport &&
		w->socket[port->owner[0]].reuseport);
}

/* Of each flow, whose it may be; no flow moves between two that stay. */
static void owner_joins(struct mport *port, int i)
{
	unsigned int *may = port->may[0];

	port->owner[port->owners++] = i;
	while (may < port->may[RECEIVERS])
		*may++ |= 1 << i;
}

/* False if another owns the port, and does not share it. */
bool model_port_join(const struct mworld *w, struct mport *port, int i)
{
	if (w->socket[i].tee) {
		port->watcher[port->watchers++] = i;
		return true;
	}
	if (!may_share(w, port, i))
		return false;
	owner_joins(port, i);
	return true;
}

static void remove_from(int *list, int *n, int i)
{
	int from, to = 0;

	for (from = 0; from < *n; from++)
		if (list[from] != i)
			list[to++] = list[from];
	*n = to;
}

static void owner_leaves(struct mport *port, int i)
{
	unsigned int *may = port->may[0], others = 0;
	int n = port->owners;

	remove_from(port->owner, &port->owners, i);
	if (n == port->owners)
		return;
	if (!port->owners)
		port->program = false;
	for (n = 0; n < port->owners; n++)
		others |= 1 << port->owner[n];
	for (; may < port->may[RECEIVERS]; may++)
		if (*may & 1 << i)
			*may = others;
}

void model_port_leave(struct mport *port, int i)
{
	owner_leaves(port, i);
	remove_from(port->watcher, &port->watchers, i);
}
