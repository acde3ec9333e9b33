// SPDX-License-Identifier: GPL-2.0
/*
 * The ports of a namespace, and who listens there.
 *
 * Ports are in a table of two steps, 256 pages of 256 entries, made as they are
 * needed: looking one up costs the same for one and for five thousand. An entry
 * is never changed: who joins or leaves makes a new one, and hooks go on with
 * the one they have found until their RCU section ends.
 *
 * Owners that share a port (SO_REUSEPORT) divide the flows: a flow's hash, the
 * same in both directions, chooses one of 256 slots, and each slot belongs to
 * the owner that scores highest for it (rendezvous hashing). So a joining owner
 * takes its share evenly from all others, a leaving one leaves its share to
 * them, and no flow moves between two that stay.
 */

#include <linux/filter.h>
#include <linux/hash.h>
#include <linux/jhash.h>
#include <net/l3mdev.h>
#include <net/sock_reuseport.h>

#include "divert.h"

/* Where bind() looks for a free port first: the range that people know from
 * TCP and UDP as dynamic, out of the way of ports that daemons agree on.
 */
#define DIVERT_PORT_DYNAMIC	49152

/* Looking up: under RCU */

/* Is this socket's reader there for packets of this hook? */
static bool divert_sock_listens(const struct sock *sk,
				const struct nf_hook_state *state)
{
	int bound = READ_ONCE(sk->sk_bound_dev_if);
	const struct net_device *dev;

	if (READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN)
		return false;
	if (likely(!bound))
		return true;

	dev = state->hook == NF_INET_PRE_ROUTING ? state->in : state->out;
	return bound == dev->ifindex ||
	       bound == l3mdev_master_ifindex_rcu(dev);
}

/* What the program attached to the group says, -1 if it leaves it to us. */
static int divert_port_bpf(const struct divert_port *port, struct sk_buff *skb)
{
	struct sock_reuseport *group;
	struct bpf_prog *prog;
	u32 n;

	group = rcu_dereference(port->sk[0]->sk_reuseport_cb);
	prog = group ? rcu_dereference(group->prog) : NULL;
	if (!prog)
		return -1;

	n = bpf_prog_run_save_cb(prog, skb);
	return n < port->owners ? n : -1;
}

static unsigned int divert_port_choose(const struct divert_port *port,
				       struct sk_buff *skb)
{
	int n = divert_port_bpf(port, skb);

	if (n >= 0)
		return n;
	return port->slots[hash_32(__skb_get_hash_symmetric(skb),
				   ilog2(DIVERT_SLOTS))];
}

/**
 * divert_port_owner() - the socket that a diverted packet goes to
 * @port: port
 * @skb: packet
 * @state: the hook
 *
 * Return: an owner that listens, or NULL.
 */
struct sock *divert_port_owner(const struct divert_port *port,
			       struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	unsigned int first, i;

	if (likely(port->owners == 1))
		return divert_sock_listens(port->sk[0], state) ? port->sk[0] :
								 NULL;

	first = port->owners ? divert_port_choose(port, skb) : 0;
	for (i = 0; i < port->owners; i++) {
		struct sock *sk = port->sk[(first + i) % port->owners];

		if (divert_sock_listens(sk, state))
			return sk;
	}
	return NULL;
}

/**
 * divert_port_watcher() - the next socket that wants a copy
 * @port: port
 * @i: which one, 0 at first; moved on
 * @state: the hook
 *
 * Return: a watcher that listens, or NULL after the last.
 */
struct sock *divert_port_watcher(const struct divert_port *port,
				 unsigned int *i,
				 const struct nf_hook_state *state)
{
	while (*i < port->watchers) {
		struct sock *sk = port->sk[port->owners + (*i)++];

		if (divert_sock_listens(sk, state))
			return sk;
	}
	return NULL;
}

/* Changing: under divert_net.lock */

static struct divert_port *divert_port_get(struct divert_net *dn, u16 num)
{
	const struct divert_ports *page;

	page = rcu_dereference_protected(dn->ports[num >> 8],
					 lockdep_is_held(&dn->lock));
	return page ? rcu_dereference_protected(page->port[num & 0xff],
						lockdep_is_held(&dn->lock)) :
		      NULL;
}

/* @port may be NULL. */
static int divert_port_set(struct divert_net *dn, u16 num,
			   struct divert_port *port)
{
	struct divert_ports *page;

	page = rcu_dereference_protected(dn->ports[num >> 8],
					 lockdep_is_held(&dn->lock));
	if (!page) {
		page = kzalloc(sizeof(*page), GFP_KERNEL_ACCOUNT);
		if (!page)
			return -ENOMEM;
		rcu_assign_pointer(dn->ports[num >> 8], page);
	}
	rcu_assign_pointer(page->port[num & 0xff], port);
	return 0;
}

static struct divert_port *divert_port_alloc(unsigned int owners,
					     unsigned int watchers, gfp_t gfp)
{
	struct divert_port *port;

	port = kzalloc(struct_size(port, sk, owners + watchers), gfp);
	if (!port)
		return NULL;

	port->owners = owners;
	port->watchers = watchers;
	return port;
}

static void divert_port_slots(struct divert_port *port)
{
	unsigned int slot, i;

	for (slot = 0; slot < DIVERT_SLOTS; slot++) {
		u32 best = 0;

		for (i = 0; i < port->owners; i++) {
			u32 score = jhash_2words(slot,
						 divert_sk(port->sk[i])->id, 0);

			if (score >= best) {
				best = score;
				port->slots[slot] = i;
			}
		}
	}
}

/* @old with @sk beside the others of its kind; @old may be NULL. */
static struct divert_port *divert_port_with(const struct divert_port *old,
					    struct sock *sk)
{
	unsigned int owners = old ? old->owners : 0;
	unsigned int watchers = old ? old->watchers : 0;
	bool watcher = divert_sk(sk)->tee;
	struct divert_port *port;

	port = divert_port_alloc(owners + !watcher, watchers + watcher,
				 GFP_KERNEL_ACCOUNT);
	if (!port)
		return NULL;

	if (old) {
		memcpy(port->sk, old->sk, owners * sizeof(sk));
		memcpy(port->sk + port->owners, old->sk + owners,
		       watchers * sizeof(sk));
	}
	port->sk[watcher ? port->owners + watchers : owners] = sk;
	divert_port_slots(port);
	return port;
}

/* @old without @sk, which is about to go: this must not fail. */
static struct divert_port *divert_port_without(const struct divert_port *old,
					       const struct sock *sk)
{
	bool watcher = divert_sk(sk)->tee;
	struct divert_port *port;
	unsigned int from, to = 0;

	port = divert_port_alloc(old->owners - !watcher,
				 old->watchers - watcher,
				 GFP_KERNEL_ACCOUNT | __GFP_NOFAIL);
	for (from = 0; from < old->owners + old->watchers; from++)
		if (old->sk[from] != sk)
			port->sk[to++] = old->sk[from];
	divert_port_slots(port);
	return port;
}

/* May @sk be on the port beside those who are? */
static int divert_port_may_join(const struct divert_port *old, struct sock *sk)
{
	struct sock *first;

	if (!old)
		return 0;
	if (divert_sk(sk)->tee)
		return old->watchers < DIVERT_WATCHERS_MAX ? 0 : -ENOSPC;
	if (!old->owners)
		return 0;

	first = old->sk[0];
	if (!sk->sk_reuseport || !first->sk_reuseport ||
	    !uid_eq(sk_uid(sk), sk_uid(first)))
		return -EADDRINUSE;
	return old->owners < DIVERT_OWNERS_MAX ? 0 : -ENOSPC;
}

/* The kernel keeps the program that chooses among the members in a group of
 * its own, which every owner must be in to be able to attach one.
 */
static int divert_port_group(const struct divert_port *old, struct sock *sk)
{
	if (!sk->sk_reuseport || divert_sk(sk)->tee)
		return 0;
	if (old && old->owners)
		return reuseport_add_sock(sk, old->sk[0], false);
	return rcu_access_pointer(sk->sk_reuseport_cb) ? 0 :
	       reuseport_alloc(sk, false);
}

static int divert_port_join(struct divert_net *dn, struct sock *sk, u32 num)
{
	struct divert_port *old = divert_port_get(dn, num);
	struct divert_port *port;
	int err;

	err = divert_port_may_join(old, sk);
	if (err)
		return err;

	port = divert_port_with(old, sk);
	if (!port)
		return -ENOMEM;

	err = divert_port_group(old, sk);
	if (!err)
		err = divert_port_set(dn, num, port);
	if (err) {
		kfree(port);
		return err;
	}

	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

/* The first port from @min to @max that nobody is on, or 0. */
static u32 divert_port_free(struct divert_net *dn, u32 min, u32 max)
{
	u32 num;

	for (num = min; num <= max; num++)
		if (!divert_port_get(dn, num))
			return num;
	return 0;
}

/* A port that nobody is on and a mark can name, or 0. */
static u32 divert_port_pick(struct divert_net *dn)
{
	const struct divert_conf *conf = &dn->conf;
	u32 field_max = conf->port_mask >> __ffs(conf->port_mask);
	u32 min = max(conf->port_base + 1, conf->port_range[0]);
	u32 max = min3(conf->port_base + field_max - 1, conf->port_range[1],
		       (u32)U16_MAX);

	return divert_port_free(dn, max_t(u32, min, DIVERT_PORT_DYNAMIC),
				max) ?: divert_port_free(dn, min, max);
}

static int divert_port_take(struct divert_net *dn, struct sock *sk, u32 *num)
{
	if (!*num) {
		*num = divert_port_pick(dn);
		if (!*num)
			return -EADDRINUSE;
	} else if (!divert_port_reachable(&dn->conf, *num)) {
		return -EADDRNOTAVAIL;
	}
	return divert_port_join(dn, sk, *num);
}

static void divert_port_leave(struct divert_net *dn, struct sock *sk, u32 num)
{
	struct divert_port *old = divert_port_get(dn, num);
	struct divert_port *port = NULL;

	if (rcu_access_pointer(sk->sk_reuseport_cb))
		reuseport_detach_sock(sk);

	if (old->owners + old->watchers > 1)
		port = divert_port_without(old, sk);
	/* Its page is there: this takes no memory. */
	divert_port_set(dn, num, port);
	kfree_rcu(old, rcu);
}

/**
 * divert_port_bind() - give a port to a socket
 * @dn: namespace
 * @sk: socket, locked
 * @port: port in host byte order, 0 picks a free one
 *
 * Return: 0; -EINVAL if the socket has a port, -EADDRINUSE if the port has an
 * owner that does not share it, -ENOSPC if it has as many as can share it,
 * -EADDRNOTAVAIL if no mark can name the port, or -ENOMEM.
 */
int divert_port_bind(struct divert_net *dn, struct sock *sk, u16 port)
{
	struct divert_sock *ds = divert_sk(sk);
	u32 num = port;
	int err;

	if (ds->port)
		return -EINVAL;
	if (ds->in_place && !ds->kept) {
		err = divert_kept_alloc(ds);
		if (err)
			return err;
	}

	mutex_lock(&dn->lock);
	err = divert_port_take(dn, sk, &num);
	if (err)
		goto out;

	dn->bound = true;
	err = divert_defrag_update(dn);
	if (err) {
		divert_port_leave(dn, sk, num);
		goto out;
	}

	WRITE_ONCE(ds->port, num);
	ds->inet.inet_sport = htons(num);
out:
	mutex_unlock(&dn->lock);
	return err;
}

void divert_port_release(struct divert_net *dn, struct sock *sk)
{
	struct divert_sock *ds = divert_sk(sk);

	if (!ds->port)
		return;

	mutex_lock(&dn->lock);
	divert_port_leave(dn, sk, ds->port);
	mutex_unlock(&dn->lock);
	WRITE_ONCE(ds->port, 0);
}

void divert_ports_exit(struct divert_net *dn)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(dn->ports); i++)
		kfree(rcu_dereference_protected(dn->ports[i], true));
}
