// SPDX-License-Identifier: GPL-2.0
/*
 * The cookie that a packet carries until its stage ends: rules up to it are
 * behind the packet.
 *
 * It must survive what lies between the write and our hooks (taps, tc,
 * conntrack, reassembly, NFQUEUE, a VRF's second pass), must end with the
 * stage, and nobody else may be able to forge it. The mark cannot do that, so:
 *
 * - A packet written as received carries it in a metadata dst, in the place
 *   of the route that it does not have yet. Routing drops it. Its lower_dev is
 *   the address of our namespace state, which nothing else in the kernel puts
 *   there; it is compared, never followed. Its device is the namespace's lo:
 *   who finds it takes it for a route, and asks that for its namespace (ICMP
 *   errors, and nft's reject with a reset).
 *
 * - A packet written to be sent has its route, and one that goes on after a
 *   copy was taken may have one. They carry the cookie in skb->cb, behind what
 *   IPv4 and IPv6 keep there. These bytes may be anybody's leftovers, so they
 *   count only with the namespace's secret in them, in the stage they were made
 *   in, and for the protocol they were made for: what a tunnel wraps around the
 *   packet is another packet. A written packet's, which stay, count only while
 *   the hook's own state names a divert socket as the sender, too: that ends
 *   where the packet leaves the host or the namespace. The others are wiped at
 *   the end of the stage.
 */

#include <linux/netdevice.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/route.h>

#include "divert.h"

static struct divert_tag *divert_tag(const struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct inet_skb_parm) > DIVERT_TAG_OFFSET);
	BUILD_BUG_ON(sizeof(struct inet6_skb_parm) > DIVERT_TAG_OFFSET);
	BUILD_BUG_ON(DIVERT_TAG_OFFSET + sizeof(struct divert_tag) >
		     DIVERT_TAG_END);

	return (struct divert_tag *)(skb->cb + DIVERT_TAG_OFFSET);
}

/* Made once for each cookie that a namespace ever sees: the packets share it. */
static struct metadata_dst *divert_tag_make(struct divert_net *dn, u16 cookie)
{
	struct metadata_dst *md, *old;

	md = metadata_dst_alloc(0, METADATA_HW_PORT_MUX,
				GFP_KERNEL_ACCOUNT);
	if (!md)
		return ERR_PTR(-ENOBUFS);

	md->u.port_info.lower_dev = (struct net_device *)dn;
	md->u.port_info.port_id = cookie;
	md->dst.dev = dn->net->loopback_dev;
	netdev_hold(md->dst.dev, &md->dst.dev_tracker, GFP_KERNEL);

	old = xa_cmpxchg(&dn->tags, cookie, NULL, md, GFP_KERNEL);
	if (!old)
		return md;

	dst_release(&md->dst);
	return xa_is_err(old) ? ERR_PTR(-ENOBUFS) : old;
}

/**
 * divert_tag_in() - mark a packet as written, to be received
 * @dn: namespace
 * @sk: socket it was written to
 * @skb: packet without a dst
 * @cookie: rule to resume after
 *
 * May sleep.
 *
 * Return: 0 or -ENOBUFS.
 */
int divert_tag_in(struct divert_net *dn, struct sock *sk, struct sk_buff *skb,
		  u16 cookie)
{
	struct metadata_dst *md = READ_ONCE(divert_sk(sk)->tag);

	if (!md || md->u.port_info.port_id != cookie) {
		md = xa_load(&dn->tags, cookie) ?: divert_tag_make(dn, cookie);
		if (IS_ERR(md))
			return PTR_ERR(md);
		WRITE_ONCE(divert_sk(sk)->tag, md);
	}

	dst_hold(&md->dst);
	skb_dst_set(skb, &md->dst);
	return 0;
}

void divert_tag_out(const struct divert_net *dn, struct sk_buff *skb,
		    u16 cookie)
{
	*divert_tag(skb) = (struct divert_tag){
		.secret		= dn->secret,
		.cookie		= cookie,
		.protocol	= divert_ip_protocol(skb),
		.written	= true,
		.output		= true,
	};
}

/* Reading, at the hooks */

static bool divert_stage_is_output(const struct nf_hook_state *state)
{
	return state->hook != NF_INET_PRE_ROUTING;
}

static const struct metadata_dst *divert_tag_dst(const struct divert_net *dn,
						 const struct sk_buff *skb)
{
	const struct metadata_dst *md = skb_metadata_dst((struct sk_buff *)skb);

	if (!md || md->type != METADATA_HW_PORT_MUX ||
	    md->u.port_info.lower_dev != (const struct net_device *)dn)
		return NULL;
	return md;
}

static struct divert_tag *divert_tag_cb(const struct divert_net *dn,
					const struct sk_buff *skb,
					const struct nf_hook_state *state)
{
	struct divert_tag *tag = divert_tag(skb);

	if (tag->secret != dn->secret ||
	    tag->output != divert_stage_is_output(state) ||
	    tag->protocol != divert_ip_protocol(skb))
		return NULL;
	if (tag->written && !(state->sk && divert_is_socket(state->sk) &&
			      net_eq(sock_net(state->sk), state->net)))
		return NULL;
	return tag;
}

/**
 * divert_stage_ends() - is this the last hook of the packet's stage?
 * @skb: packet at a hook
 * @state: the hook
 *
 * A VRF passes its packets through each hook twice: received ones as the
 * enslaved device's and as its own, sent ones the other way about. The stage
 * is over after the second time.
 */
bool divert_stage_ends(const struct sk_buff *skb,
		       const struct nf_hook_state *state)
{
	bool second = state->pf == NFPROTO_IPV6 ?
		      IP6CB(skb)->flags & IP6SKB_L3SLAVE :
		      IPCB(skb)->flags & IPSKB_L3SLAVE;

	switch (state->hook) {
	case NF_INET_PRE_ROUTING:
		return !netif_is_l3_slave(state->in) &&
		       (!netif_is_l3_master(state->in) || second);
	case NF_INET_POST_ROUTING:
		return !netif_is_l3_master(state->out);
	default:
		return false;
	}
}

/**
 * divert_resume_read() - where does the packet stand?
 * @dn: namespace
 * @skb: packet at a hook
 * @state: the hook
 * @resume: filled in
 */
void divert_resume_read(const struct divert_net *dn, const struct sk_buff *skb,
			const struct nf_hook_state *state,
			struct divert_resume *resume)
{
	const struct divert_tag *tag = divert_tag_cb(dn, skb, state);
	const struct metadata_dst *md = divert_tag_dst(dn, skb);

	*resume = (struct divert_resume){ .shown = tag || md };
	if (md)
		resume->cookie = md->u.port_info.port_id;
	if (tag)
		resume->cookie = max(resume->cookie, tag->cookie);
}

/**
 * divert_resume_advance() - a rule that lets the packet go on is behind it now
 * @dn: namespace
 * @skb: packet at a hook
 * @state: the hook
 * @resume: where it stands
 */
void divert_resume_advance(const struct divert_net *dn, struct sk_buff *skb,
			   const struct nf_hook_state *state,
			   const struct divert_resume *resume)
{
	struct divert_tag *tag = divert_tag_cb(dn, skb, state);

	*divert_tag(skb) = (struct divert_tag){
		.secret		= dn->secret,
		.cookie		= resume->cookie,
		.protocol	= divert_ip_protocol(skb),
		.written	= tag && tag->written,
		.output		= divert_stage_is_output(state),
	};
}

/**
 * divert_route_in() - clear a packet's way to input routing
 * @dn: namespace
 * @skb: packet at PRE_ROUTING; what it has in the place of a route goes
 * @state: the hook
 *
 * Called under RCU.
 */
void divert_route_in(const struct divert_net *dn, struct sk_buff *skb,
		     const struct nf_hook_state *state)
{
	struct net_device *in = state->in;

	skb_dst_drop(skb);
	if (state->pf != NFPROTO_IPV4)
		return;

	/* After NFQUEUE, they are on here. */
	local_bh_disable();
	if (in->flags & IFF_LOOPBACK ||
	    divert_route_is_own(dn, in, ip_hdr(skb)->saddr))
		divert_route_own(dn->net, skb, in);
	local_bh_enable();
}

/**
 * divert_resume_end() - the stage is over, the packet goes on as any other
 * @dn: namespace
 * @skb: packet at the last hook of its stage
 * @state: the hook
 *
 * Called under RCU.
 */
void divert_resume_end(const struct divert_net *dn, struct sk_buff *skb,
		       const struct nf_hook_state *state)
{
	struct divert_tag *tag = divert_tag_cb(dn, skb, state);

	if (tag && !tag->written)
		tag->secret = 0;
	if (divert_tag_dst(dn, skb))
		divert_route_in(dn, skb, state);
}

/* Before the namespace's devices go. */
void divert_tags_exit(struct divert_net *dn)
{
	struct metadata_dst *md;
	unsigned long cookie;

	xa_for_each(&dn->tags, cookie, md)
		dst_release(&md->dst);
	xa_destroy(&dn->tags);
}
