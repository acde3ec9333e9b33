// SPDX-License-Identifier: GPL-2.0
/*
 * The ports of a namespace, and who owns them.
 *
 * An array of 65,536 sparse entries, three steps deep for any number of bound
 * ports: looking one up costs the same for one and for five thousand.
 */

#include "divert.h"

/* Where bind() looks for a free port first: the range that people know from
 * TCP and UDP as dynamic, out of the way of ports that daemons agree on.
 */
#define DIVERT_PORT_DYNAMIC	49152

struct sock *divert_port_lookup(struct divert_net *dn, u16 port)
{
	struct sock *sk = xa_load(&dn->ports, port);

	if (!sk || READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN)
		return NULL;
	return sk;
}

/* The highest and the lowest port that a mark can name under @conf. */
static struct xa_limit divert_port_limits(const struct divert_conf *conf)
{
	u32 field_max = conf->port_mask >> __ffs(conf->port_mask);

	return XA_LIMIT(max(conf->port_base + 1, conf->port_range[0]),
			min3(conf->port_base + field_max - 1,
			     conf->port_range[1], (u32)U16_MAX));
}

static int divert_port_pick(struct divert_net *dn, struct sock *sk, u32 *port)
{
	struct xa_limit all = divert_port_limits(&dn->conf);
	struct xa_limit dynamic = all;
	int err;

	if (all.min > all.max)
		return -EADDRINUSE;

	dynamic.min = max_t(u32, all.min, DIVERT_PORT_DYNAMIC);
	if (dynamic.min <= dynamic.max) {
		err = xa_alloc(&dn->ports, port, sk, dynamic, GFP_KERNEL);
		if (err != -EBUSY)
			return err;
	}

	return xa_alloc(&dn->ports, port, sk, all, GFP_KERNEL);
}

static int divert_port_take(struct divert_net *dn, struct sock *sk, u32 *port)
{
	if (!*port)
		return divert_port_pick(dn, sk, port);
	if (!divert_port_reachable(&dn->conf, *port))
		return -EADDRNOTAVAIL;

	return xa_insert(&dn->ports, *port, sk, GFP_KERNEL);
}

/**
 * divert_port_bind() - give a port to a socket
 * @dn: namespace
 * @sk: socket, locked
 * @port: port in host byte order, 0 picks a free one
 *
 * Return: 0; -EINVAL if the socket has a port, -EADDRINUSE if the port has a
 * socket, -EADDRNOTAVAIL if no mark can name the port, or -ENOMEM.
 */
int divert_port_bind(struct divert_net *dn, struct sock *sk, u16 port)
{
	struct divert_sock *ds = divert_sk(sk);
	u32 num = port;
	int err;

	if (ds->port)
		return -EINVAL;

	mutex_lock(&dn->lock);
	err = divert_port_take(dn, sk, &num);
	if (err)
		goto out;

	dn->bound = true;
	err = divert_defrag_update(dn);
	if (err) {
		xa_erase(&dn->ports, num);
		goto out;
	}

	WRITE_ONCE(ds->port, num);
	ds->inet.inet_sport = htons(num);
out:
	mutex_unlock(&dn->lock);
	return err == -EBUSY ? -EADDRINUSE : err;
}

void divert_port_release(struct divert_net *dn, struct sock *sk)
{
	struct divert_sock *ds = divert_sk(sk);

	if (!ds->port)
		return;

	xa_erase(&dn->ports, ds->port);
	WRITE_ONCE(ds->port, 0);
}
