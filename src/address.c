// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses: what a reader learns of a packet's way in 16 or 28 bytes, and what
 * they mean when they come back. The forms are those of the uapi header.
 */

#include <linux/inetdevice.h>
#include <linux/unaligned.h>
#include <net/addrconf.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/l3mdev.h>

#include "divert.h"

/* In sin6_scope_id of a locally made packet: the rest of it is the interface
 * that its sender is bound to.
 */
#define DIVERT_SCOPE_BOUND	0x80000000u
/* Both: the rest of it is the ticket of a kept packet instead. */
#define DIVERT_SCOPE_TICKET	0xc0000000u
/* In sin6_flowinfo of any other: the same */
#define DIVERT_FLOWINFO_TICKET	0x80000000u

/* In sin_zero of a kept packet there is less room for the name: this many bytes,
 * then a byte that no name can hold, then the ticket in three.
 */
#define DIVERT_NAME_SHORT	4
#define DIVERT_NAME_TICKET	'/'

/* Making: under RCU, while the packet is at the hook */

/* Name, or "/ifindex" where it does not fit; empty where that does not. */
static void divert_name_set(u8 zero[DIVERT_NAME_LEN],
			    const struct net_device *dev)
{
	char name[IFNAMSIZ];
	unsigned int i;

	for (i = 0; i < DIVERT_NAME_LEN; i++) {
		zero[i] = dev->name[i];
		if (!zero[i])
			return;
	}

	memset(zero, 0, DIVERT_NAME_LEN);
	if (snprintf(name, sizeof(name), "/%d", dev->ifindex) <
	    DIVERT_NAME_LEN)
		strscpy((char *)zero, name, DIVERT_NAME_LEN);
}

static __be32 divert_first_address4(const struct net_device *dev)
{
	const struct in_device *in_dev = __in_dev_get_rcu(dev);
	const struct in_ifaddr *ifa;

	ifa = in_dev ? rcu_dereference(in_dev->ifa_list) : NULL;
	/* Never 0, that would turn the packet round. */
	return ifa ? ifa->ifa_local : htonl(dev->ifindex & 0xffffff);
}

#if IS_ENABLED(CONFIG_IPV6)
static bool divert_first_address6(const struct net_device *dev,
				  struct in6_addr *addr)
{
	struct inet6_dev *idev = __in6_dev_get(dev);
	const struct inet6_ifaddr *ifa;

	if (!idev)
		return false;
	ifa = list_first_or_null_rcu(&idev->addr_list, struct inet6_ifaddr,
				     if_list);
	if (!ifa)
		return false;

	*addr = ifa->addr;
	return true;
}
#else
static bool divert_first_address6(const struct net_device *dev,
				  struct in6_addr *addr)
{
	return false;
}
#endif

/* The bytes 1 to 7 of sin_zero for a locally made packet: the interface in
 * three, the mark in four, both in network order.
 */
static void divert_context_set(u8 zero[DIVERT_NAME_LEN],
			       const struct divert_context *context)
{
	if (context->oif >= DIVERT_TICKET)
		return;
	put_unaligned_be24(context->oif, zero + 1);
	put_unaligned_be32(context->mark, zero + 4);
}

static void divert_context_get(const u8 zero[DIVERT_NAME_LEN],
			       struct divert_context *context)
{
	context->oif = get_unaligned_be24(zero + 1);
	context->mark = get_unaligned_be32(zero + 4);
}

/* Does the destination alone not say which link it is on? */
static bool divert_link_scope(const struct sk_buff *skb, u8 pf)
{
	__be32 daddr = ip_hdr(skb)->daddr;

	if (pf == NFPROTO_IPV6)
		return ipv6_addr_type(&ipv6_hdr(skb)->daddr) &
		       (IPV6_ADDR_MULTICAST | IPV6_ADDR_LINKLOCAL);
	return ipv4_is_multicast(daddr) || ipv4_is_lbcast(daddr);
}

/* The interface that a locally made packet must not leave by another one of:
 * what its sender is bound to, its VRF, and where the destination says nothing,
 * the one it is about to leave by.
 */
static int divert_context_oif(const struct sk_buff *skb, const struct sock *sk,
			      const struct nf_hook_state *state)
{
	if (sk && sk->sk_bound_dev_if)
		return sk->sk_bound_dev_if;
	if (divert_link_scope(skb, state->pf))
		return state->out->ifindex;
	return l3mdev_master_ifindex_rcu(state->out);
}

/* The rule that named us has overwritten our bits of the mark; there, the
 * sender's socket still has what the packet was routed with.
 */
struct divert_context divert_context_make(const struct divert_conf *conf,
					  const struct sk_buff *skb,
					  const struct nf_hook_state *state)
{
	/* Not the packet's, which a tunnel leaves with who sent what is in it. */
	const struct sock *sk = state->sk ? sk_const_to_full_sk(state->sk) : NULL;
	u32 ours = divert_mark_ours(conf);

	if (sk && !(sk_fullsock(sk) && net_eq(sock_net(sk), state->net)))
		sk = NULL;

	return (struct divert_context){
		.oif	= divert_context_oif(skb, sk, state),
		.mark	= (skb->mark & ~ours) |
			  (sk ? READ_ONCE(sk->sk_mark) & ours : 0),
	};
}

/* The device a packet on its way out was received on, if any. */
struct net_device *divert_forwarded_from(const struct sk_buff *skb,
					 const struct nf_hook_state *state)
{
	bool forwarded = state->pf == NFPROTO_IPV6 ? IP6CB(skb)->iif :
			 IPCB(skb)->flags & IPSKB_FORWARDED;

	return forwarded ? dev_get_by_index_rcu(state->net, skb->skb_iif) :
			   NULL;
}

static void divert_address4_make(struct divert_cb *cb,
				 const struct net_device *dev, bool incoming,
				 const struct divert_context *context)
{
	if (incoming)
		cb->v4.addr = divert_first_address4(dev);
	if (dev)
		divert_name_set(cb->v4.zero, dev);
	else
		divert_context_set(cb->v4.zero, context);
}

static void divert_address6_make(struct divert_cb *cb, u8 pf,
				 const struct net_device *dev, bool incoming,
				 const struct divert_context *context)
{
	if (incoming && (pf != NFPROTO_IPV6 ||
			 !divert_first_address6(dev, &cb->v6.addr)))
		ipv6_addr_set_v4mapped(divert_first_address4(dev),
				       &cb->v6.addr);
	if (dev) {
		cb->v6.scope = dev->ifindex;
		return;
	}

	cb->v6.flowinfo = htonl(context->mark);
	if (context->oif)
		cb->v6.scope = DIVERT_SCOPE_BOUND | context->oif;
}

/**
 * divert_address_make() - remember where a packet was taken
 * @cb: filled in
 * @conf: settings
 * @skb: packet at the hook
 * @state: the hook
 * @family: the reader's, AF_INET or AF_INET6
 */
void divert_address_make(struct divert_cb *cb, const struct divert_conf *conf,
			 const struct sk_buff *skb,
			 const struct nf_hook_state *state, u16 family)
{
	bool incoming = state->hook == NF_INET_PRE_ROUTING;
	struct divert_context context = { };
	const struct net_device *dev;

	dev = incoming ? state->in : divert_forwarded_from(skb, state);
	if (!dev)
		context = divert_context_make(conf, skb, state);

	if (family == AF_INET6)
		divert_address6_make(cb, state->pf, dev, incoming, &context);
	else
		divert_address4_make(cb, dev, incoming, &context);
}

/* Reading */

static int divert_address4_read(const struct divert_cb *cb,
				struct sockaddr_in *sin)
{
	sin->sin_family = AF_INET;
	/* Host order, as everywhere: see the uapi header. */
	sin->sin_port = (__force __be16)cb->cookie;
	sin->sin_addr.s_addr = cb->v4.addr;
	memcpy(sin->sin_zero, cb->v4.zero, sizeof(cb->v4.zero));
	return sizeof(*sin);
}

static int divert_address6_read(const struct divert_cb *cb,
				struct sockaddr_in6 *sin6)
{
	sin6->sin6_family = AF_INET6;
	sin6->sin6_port = (__force __be16)cb->cookie;
	sin6->sin6_flowinfo = cb->v6.flowinfo;
	sin6->sin6_addr = cb->v6.addr;
	sin6->sin6_scope_id = cb->v6.scope;
	return sizeof(*sin6);
}

/**
 * divert_address_read() - the address of a queued packet
 * @skb: packet
 * @family: the socket's
 * @name: struct sockaddr_storage, filled in
 *
 * Return: length of the address.
 */
int divert_address_read(const struct sk_buff *skb, u16 family, void *name)
{
	const struct divert_cb *cb = DIVERT_CB(skb);

	return family == AF_INET6 ? divert_address6_read(cb, name) :
				    divert_address4_read(cb, name);
}

/* Replaces a long name by "/ifindex"; false if that is too long as well. */
static bool divert_name_shorten(u8 zero[DIVERT_NAME_LEN], int ifindex)
{
	char name[IFNAMSIZ];
	size_t len = strnlen(zero, DIVERT_NAME_LEN);

	if (len <= DIVERT_NAME_SHORT)
		return true;
	len = snprintf(name, sizeof(name), "/%d", ifindex);
	if (len > DIVERT_NAME_SHORT)
		return false;
	memset(zero, 0, DIVERT_NAME_LEN);
	memcpy(zero, name, len);
	return true;
}

/* The device that the address names. */
static int divert_named_ifindex(const struct sk_buff *skb)
{
	const struct nf_hook_state *state = &DIVERT_CB(skb)->extra->state;

	return state->hook == NF_INET_PRE_ROUTING ? state->in->ifindex :
						    skb->skb_iif;
}

static bool divert_address4_ticket(const struct sk_buff *skb, u32 ticket,
				   bool must, struct sockaddr_in *sin)
{
	u8 *zero = (u8 *)sin->sin_zero;
	int ifindex;

	if (!zero[0]) {
		if (get_unaligned_be24(zero + 1) && !must)
			return false;
		put_unaligned_be24(ticket, zero + 1);
		return true;
	}

	ifindex = divert_named_ifindex(skb);
	if (divert_name_shorten(zero, ifindex)) {
		zero[DIVERT_NAME_SHORT] = DIVERT_NAME_TICKET;
		put_unaligned_be24(ticket, zero + DIVERT_NAME_SHORT + 1);
		return true;
	}
	if (!must)
		return false;

	if (sin->sin_addr.s_addr)
		sin->sin_addr.s_addr = htonl(ifindex & 0xffffff);
	memset(zero, 0, DIVERT_NAME_LEN);
	put_unaligned_be24(ticket, zero + 1);
	return true;
}

static bool divert_address6_ticket(u32 ticket, bool must,
				   struct sockaddr_in6 *sin6)
{
	u32 scope = sin6->sin6_scope_id;

	if (scope && !(scope & DIVERT_SCOPE_BOUND)) {
		sin6->sin6_flowinfo = htonl(DIVERT_FLOWINFO_TICKET | ticket);
		return true;
	}
	if (scope && !must)
		return false;
	sin6->sin6_scope_id = DIVERT_SCOPE_TICKET | ticket;
	return true;
}

/**
 * divert_address_ticket() - have the address name a kept packet
 * @skb: packet with a number
 * @family: the socket's
 * @name: its address as it is read, changed
 *
 * Return: false if there is no room that would not cost the packet its way,
 * should it be written as a packet of its own. One that is kept by DIVERT_HOLD
 * is not, or is by somebody who has other means to say so.
 */
bool divert_address_ticket(const struct sk_buff *skb, u16 family, void *name)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;
	u32 ticket = DIVERT_TICKET | (extra->id & DIVERT_TICKET_MASK);
	bool must = extra->keep == DIVERT_KEEP_HEADERS;

	return family == AF_INET6 ?
	       divert_address6_ticket(ticket, must, name) :
	       divert_address4_ticket(skb, ticket, must, name);
}

/* Parsing */

/* "/12" to 12, 0 if it is not that. */
static int divert_name_index(const char *name)
{
	int ifindex;

	if (name[0] != '/' || kstrtoint(name + 1, 10, &ifindex))
		return 0;
	return max(ifindex, 0);
}

static void divert_address4_parse(const struct sockaddr_in *sin,
				  struct divert_dest *to)
{
	const u8 *zero = (const u8 *)sin->sin_zero;

	to->cookie = (__force u16)sin->sin_port;
	to->incoming = sin->sin_addr.s_addr;
	ipv6_addr_set_v4mapped(sin->sin_addr.s_addr, &to->addr);

	if (!zero[0]) {
		if (!to->incoming)
			divert_context_get(zero, &to->context);
		if (get_unaligned_be24(zero + 1) & DIVERT_TICKET) {
			to->ticket = get_unaligned_be24(zero + 1);
			to->context.oif = 0;
		}
		return;
	}

	if (zero[DIVERT_NAME_SHORT] == DIVERT_NAME_TICKET) {
		memcpy(to->name, zero, DIVERT_NAME_SHORT);
		to->ticket = get_unaligned_be24(zero + DIVERT_NAME_SHORT + 1);
	} else if (memchr(zero, 0, DIVERT_NAME_LEN)) {
		/* One that fills all eight bytes may be cut short: no name. */
		memcpy(to->name, zero, DIVERT_NAME_LEN);
	}
	to->ifindex = divert_name_index(to->name);
}

static void divert_address6_parse(const struct sockaddr_in6 *sin6, int len,
				  struct divert_dest *to)
{
	u32 scope = len < (int)sizeof(*sin6) ? 0 : sin6->sin6_scope_id;

	to->cookie = (__force u16)sin6->sin6_port;
	to->addr = sin6->sin6_addr;
	to->incoming = !ipv6_addr_any(&to->addr) &&
		       !(ipv6_addr_v4mapped(&to->addr) &&
			 !to->addr.s6_addr32[3]);

	if ((scope & DIVERT_SCOPE_TICKET) == DIVERT_SCOPE_TICKET) {
		to->ticket = scope & ~DIVERT_SCOPE_TICKET;
		scope = 0;
	}
	if (!(scope & DIVERT_SCOPE_BOUND))
		to->ifindex = scope;
	if (to->ifindex &&
	    ntohl(sin6->sin6_flowinfo) & DIVERT_FLOWINFO_TICKET)
		to->ticket = ntohl(sin6->sin6_flowinfo) &
			     ~DIVERT_FLOWINFO_TICKET;
	if (!to->incoming && !to->ifindex) {
		to->context.oif = scope & ~DIVERT_SCOPE_BOUND;
		to->context.mark = ntohl(sin6->sin6_flowinfo);
	}
}

/**
 * divert_address_parse() - understand an address that a packet is written to
 * @name: address, copied in from user space
 * @len: its length
 * @family: the socket's
 * @to: filled in
 *
 * Return: 0, -EINVAL or -EAFNOSUPPORT. AF_UNSPEC is let pass, as raw sockets
 * do: BSD daemons write to an address that is all zero.
 */
int divert_address_parse(const void *name, int len, u16 family,
			 struct divert_dest *to)
{
	const struct sockaddr *sa = name;

	if (len < divert_address_min(family))
		return -EINVAL;
	if (sa->sa_family != family && sa->sa_family != AF_UNSPEC)
		return -EAFNOSUPPORT;

	if (family == AF_INET6)
		divert_address6_parse(name, len, to);
	else
		divert_address4_parse(name, to);
	return 0;
}

/* Finding interfaces: under RCU */

static struct net_device *divert_dev_by_addr(struct net *net,
					     const struct in6_addr *addr)
{
	__be32 addr4 = addr->s6_addr32[3];

#if IS_ENABLED(CONFIG_IPV6)
	if (!ipv6_addr_v4mapped(addr))
		return ipv6_mod_enabled() ? ipv6_dev_find(net, addr, NULL) :
					    NULL;
#endif
	/* 0.<ifindex>, as read where the interface had no address */
	if (!(addr4 & htonl(0xff000000)))
		return dev_get_by_index_rcu(net, ntohl(addr4) & 0xffffff);
	return __ip_dev_find(net, addr4, false);
}

/**
 * divert_dev_named() - the interface that an address names
 * @net: namespace
 * @to: address
 *
 * Return: the device, or NULL if there is none of that name.
 */
struct net_device *divert_dev_named(struct net *net,
				    const struct divert_dest *to)
{
	if (to->ifindex)
		return dev_get_by_index_rcu(net, to->ifindex);
	return to->name[0] ? dev_get_by_name_rcu(net, to->name) : NULL;
}

/* A bridge's port, a bond's slave and their like give all they receive to the
 * device above them: IP packets are never theirs. Those of a VRF are.
 */
static bool divert_dev_enslaved(struct net_device *dev)
{
	return netdev_master_upper_dev_get_rcu(dev) && !netif_is_l3_slave(dev);
}

/**
 * divert_dev_in() - the interface to receive a written packet on
 * @net: namespace
 * @to: address
 *
 * Return: the device; -EADDRNOTAVAIL if there is none or IP packets are never
 * its own, -ENETDOWN if it is down.
 */
struct net_device *divert_dev_in(struct net *net, const struct divert_dest *to)
{
	struct net_device *dev = divert_dev_named(net, to);

	if (!dev)
		dev = divert_dev_by_addr(net, &to->addr);
	if (!dev || divert_dev_enslaved(dev))
		return ERR_PTR(-EADDRNOTAVAIL);
	if (!(dev->flags & IFF_UP))
		return ERR_PTR(-ENETDOWN);
	return dev;
}
