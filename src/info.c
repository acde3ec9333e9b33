// SPDX-License-Identifier: GPL-2.0
/* The control message: what the address cannot say, both ways. */

#include <linux/cgroup.h>
#include <linux/if_vlan.h>
#include <linux/sock_diag.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/netfilter/nf_conntrack.h>

#include "divert.h"

/* How it was routed: its mark, and where that is not up to routing alone, the
 * way out, so that the packet goes it again when this is written.
 */
static void divert_info_route(struct divert_info *info,
			      const struct divert_conf *conf,
			      const struct sk_buff *skb,
			      const struct nf_hook_state *state)
{
	struct divert_context context;

	if (state->hook == NF_INET_PRE_ROUTING) {
		info->mark = skb->mark & ~divert_mark_ours(conf);
		return;
	}

	context = divert_context_make(conf, skb, state);
	info->mark = context.mark;
	if (!info->iif && context.oif) {
		info->oif = context.oif;
		info->flags |= DIVERT_INFO_OIF;
	}
}

static void divert_info_devices(struct divert_info *info,
				const struct sk_buff *skb,
				const struct nf_hook_state *state)
{
	const struct net_device *dev = state->in;

	if (state->hook != NF_INET_PRE_ROUTING) {
		dev = divert_forwarded_from(skb, state);
		info->oif = state->out->ifindex;
	}
	if (!dev)
		return;

	info->iif = dev->ifindex;
	strscpy(info->ifname, dev->name, sizeof(info->ifname));
	if (dev->flags & IFF_LOOPBACK)
		info->flags |= DIVERT_INFO_LOOPBACK;
}

static void divert_info_sender(struct divert_info *info,
			       const struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	struct sock *sk = skb_to_full_sk(skb);
	u32 cookie[2];

	if (state->hook == NF_INET_PRE_ROUTING || !sk || !sk_fullsock(sk) ||
	    !net_eq(sock_net(sk), state->net))
		return;

	info->flags |= DIVERT_INFO_SENDER;
	/* In the terms of whoever owns the namespace, as is the socket. */
	info->uid = from_kuid_munged(state->net->user_ns,
				     sock_net_uid(state->net, sk));
	sock_diag_save_cookie(sk, cookie);
	info->sock_cookie = (u64)cookie[1] << 32 | cookie[0];
#ifdef CONFIG_SOCK_CGROUP_DATA
	info->cgroup = cgroup_id(sock_cgroup_ptr(&sk->sk_cgrp_data));
#endif
}

static void divert_info_conntrack(struct divert_info *info,
				  const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	enum ip_conntrack_info state;
	const struct nf_conn *ct = nf_ct_get(skb, &state);

	if (!ct)
		return;
	info->flags |= DIVERT_INFO_CONNTRACK;
	info->ct_state = state;
	/* As netlink has it, and whoever prints that. */
	info->ct_id = ntohl((__force __be32)divert_ct_id(ct));
#ifdef CONFIG_NF_CONNTRACK_MARK
	info->ct_mark = READ_ONCE(ct->mark);
#endif
#endif
}

static void divert_info_packet(struct divert_info *info,
			       const struct sk_buff *skb, u8 pf)
{
	info->family = pf == NFPROTO_IPV6 ? AF_INET6 : AF_INET;
	info->hash = __skb_get_hash_symmetric(skb);
	info->len = skb->len;
	info->frag_max = pf == NFPROTO_IPV6 ? IP6CB(skb)->frag_max_size :
					      IPCB(skb)->frag_max_size;
	if (info->frag_max)
		info->flags |= DIVERT_INFO_REASSEMBLED;
	if (skb->ip_summed != CHECKSUM_NONE)
		info->flags |= DIVERT_INFO_CSUM_VALID;
	if (skb_vlan_tag_present(skb)) {
		info->vlan = skb_vlan_tag_get(skb);
		info->flags |= DIVERT_INFO_VLAN;
	}
}

/**
 * divert_info_make() - describe a packet
 * @info: filled in
 * @dn: namespace
 * @skb: packet at a hook, whole and unchanged
 * @state: the hook
 * @to: what its mark says
 */
void divert_info_make(struct divert_info *info, struct divert_net *dn,
		      const struct sk_buff *skb,
		      const struct nf_hook_state *state,
		      const struct divert_target *to)
{
	memset(info, 0, sizeof(*info));
	info->size = sizeof(*info);
	info->id = atomic64_inc_return(&dn->packets);
	info->hook = state->hook;
	info->port = to->port;
	info->cookie = to->cookie;

	divert_info_devices(info, skb, state);
	divert_info_route(info, &dn->conf, skb, state);
	divert_info_packet(info, skb, state->pf);
	divert_info_sender(info, skb, state);
	divert_info_conntrack(info, skb);
}

/**
 * divert_info_flags() - what there is to say of a packet as it is read
 * @skb: packet, off the queue
 *
 * Return: DIVERT_INFO_* that go into records, too.
 */
u32 divert_info_flags(const struct sk_buff *skb)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;
	u32 flags = 0;

	if (skb_is_gso(skb))
		flags |= DIVERT_INFO_GSO;
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		flags |= DIVERT_INFO_CSUM_PARTIAL;
	if (extra && extra->copy)
		flags |= DIVERT_INFO_TEE;
	if (extra && extra->id && extra->keep == DIVERT_KEEP_HEADERS)
		flags |= DIVERT_INFO_HELD;
	return flags;
}

/**
 * divert_info_read() - give a reader its control message
 * @msg: of the read
 * @sk: socket
 * @skb: packet, off the queue
 */
void divert_info_read(struct msghdr *msg, const struct sock *sk,
		      const struct sk_buff *skb)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;

	/* Packets from before it was asked for have none. */
	if (!READ_ONCE(divert_sk(sk)->info) || !extra || !extra->info.size)
		return;

	extra->info.flags |= divert_info_flags(skb);
	if (extra->info.flags & DIVERT_INFO_HELD)
		extra->info.id = extra->id;
	put_cmsg(msg, SOL_DIVERT, DIVERT_INFO, extra->info.size, &extra->info);
}

static int divert_info_apply(const struct divert_info *info,
			     struct divert_dest *to)
{
	if (info->hook != NF_INET_PRE_ROUTING &&
	    info->hook != NF_INET_LOCAL_OUT &&
	    info->hook != NF_INET_POST_ROUTING)
		return -EINVAL;
	if (info->iif > INT_MAX || info->oif > INT_MAX)
		return -EINVAL;

	if (info->flags & DIVERT_VERDICTS && !(info->flags & DIVERT_INFO_HELD))
		return -EINVAL;

	if (info->flags & DIVERT_INFO_HELD) {
		to->verdict = info->flags & (DIVERT_INFO_HELD | DIVERT_VERDICTS);
		to->id = info->id;
	}
	/* Without it, this is a packet of its own, whatever the address says. */
	to->ticket = 0;
	to->incoming = info->hook == NF_INET_PRE_ROUTING;
	to->cookie = info->cookie;
	to->ifindex = info->iif;
	to->name[0] = 0;
	to->addr = in6addr_any;
	to->oif = info->flags & DIVERT_INFO_OIF ? info->oif : 0;
	to->marked = true;
	to->context.mark = info->mark;
	return 0;
}

static int divert_info_copy(const struct cmsghdr *cmsg,
			    struct divert_info *info)
{
	size_t len = cmsg->cmsg_len - sizeof(*cmsg);

	if (len < DIVERT_INFO_SIZE_1)
		return -EINVAL;
	memset(info, 0, sizeof(*info));
	memcpy(info, CMSG_DATA(cmsg), min(len, sizeof(*info)));
	if (info->size < DIVERT_INFO_SIZE_1 || info->size > sizeof(*info) ||
	    info->size > len)
		return -EINVAL;
	return 0;
}

/**
 * divert_info_parse() - read the control message of a write
 * @msg: of the write
 * @to: what the address says; changed to what the message says
 *
 * Messages of other levels and types are ignored, as in BSD.
 *
 * Return: 0 or -EINVAL.
 */
int divert_info_parse(struct msghdr *msg, struct divert_dest *to)
{
	struct divert_info info;
	struct cmsghdr *cmsg;
	int err;

	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return -EINVAL;
		if (cmsg->cmsg_level != SOL_DIVERT ||
		    cmsg->cmsg_type != DIVERT_INFO)
			continue;

		err = divert_info_copy(cmsg, &info) ?:
		      divert_info_apply(&info, to);
		if (err)
			return err;
	}
	return 0;
}

void divert_info_exit(void)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	divert_ct_id_exit();
#endif
}
