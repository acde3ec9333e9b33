// SPDX-License-Identifier: GPL-2.0
/*
 * The cookie that a reinjected packet carries until its stage ends.
 *
 * It must survive what lies between the write and our hooks (taps, tc,
 * conntrack, reassembly, NFQUEUE, a VRF's second pass), must end with the
 * stage, and nobody else may be able to forge it. The mark cannot do that, so:
 *
 * - A packet written as received carries it in a metadata dst, in the place
 *   of the route that it does not have yet. Routing drops it. Its lower_dev is
 *   the address of our namespace state, which nothing else in the kernel puts
 *   there; it is compared, never followed.
 *
 * - A packet written to be sent has its route. It carries the cookie in the
 *   last bytes of skb->cb, which IPv4 and IPv6 leave alone up to POST_ROUTING.
 *   These bytes alone prove nothing (they may be anybody's leftovers, also
 *   after veth), so they count only while the hook's own state names a divert
 *   socket of this namespace as the sender, and for the transport protocol
 *   they were made for: what a tunnel wraps around the packet is another
 *   packet.
 */

#include <linux/netdevice.h>
#include <net/dst_metadata.h>
#include <net/ip.h>
#include <net/route.h>

#include "divert.h"

struct divert_tag {
	u32	magic;
	u16	cookie;
	u8	protocol;
	u8	unused;
};

#define DIVERT_TAG_MAGIC	0x64697665
#define DIVERT_TAG_OFFSET	(sizeof_field(struct sk_buff, cb) - \
				 sizeof(struct divert_tag))

static struct divert_tag *divert_tag(const struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct inet_skb_parm) > DIVERT_TAG_OFFSET);
	BUILD_BUG_ON(sizeof(struct inet6_skb_parm) > DIVERT_TAG_OFFSET);

	return (struct divert_tag *)(skb->cb + DIVERT_TAG_OFFSET);
}

/* Made once for each cookie that a namespace ever sees: the packets share it. */
static struct metadata_dst *divert_tag_make(struct divert_net *dn, u16 cookie)
{
	struct metadata_dst *md, *old;

	md = metadata_dst_alloc(0, METADATA_HW_PORT_MUX, GFP_KERNEL);
	if (!md)
		return ERR_PTR(-ENOBUFS);

	md->u.port_info.lower_dev = (struct net_device *)dn;
	md->u.port_info.port_id = cookie;

	old = xa_cmpxchg(&dn->tags, cookie, NULL, md, GFP_KERNEL);
	if (!old)
		return md;

	dst_release(&md->dst);
	return xa_is_err(old) ? ERR_PTR(-ENOBUFS) : old;
}

/**
 * divert_tag_in() - mark a packet as written, to be received
 * @dn: namespace
 * @skb: packet without a dst
 * @cookie: rule to resume after
 *
 * May sleep.
 *
 * Return: 0 or -ENOBUFS.
 */
int divert_tag_in(struct divert_net *dn, struct sk_buff *skb, u16 cookie)
{
	struct metadata_dst *md = xa_load(&dn->tags, cookie);

	if (!md)
		md = divert_tag_make(dn, cookie);
	if (IS_ERR(md))
		return PTR_ERR(md);

	dst_hold(&md->dst);
	skb_dst_set(skb, &md->dst);
	return 0;
}

bool divert_resume_in(const struct divert_net *dn, const struct sk_buff *skb,
		      u16 *cookie)
{
	const struct metadata_dst *md = skb_metadata_dst((struct sk_buff *)skb);

	if (!md || md->type != METADATA_HW_PORT_MUX ||
	    md->u.port_info.lower_dev != (const struct net_device *)dn)
		return false;

	*cookie = md->u.port_info.port_id;
	return true;
}

/**
 * divert_stage_repeats() - will the packet meet this PRE_ROUTING hook again?
 * @skb: packet
 * @state: the hook
 *
 * A VRF passes its packets through twice: as the enslaved device's and as its
 * own. They need their tag, and show it, until the second time is over.
 */
bool divert_stage_repeats(const struct sk_buff *skb,
			  const struct nf_hook_state *state)
{
	bool second = state->pf == NFPROTO_IPV6 ?
		      IP6CB(skb)->flags & IP6SKB_L3SLAVE :
		      IPCB(skb)->flags & IPSKB_L3SLAVE;

	return netif_is_l3_slave(state->in) ||
	       (netif_is_l3_master(state->in) && !second);
}

/**
 * divert_resume_route() - clear the way of a tagged packet to input routing
 * @dn: namespace
 * @skb: packet that goes on at PRE_ROUTING
 * @state: the hook
 *
 * Called under RCU.
 */
void divert_resume_route(struct divert_net *dn, struct sk_buff *skb,
			 const struct nf_hook_state *state)
{
	struct net_device *in = state->in;

	skb_dst_drop(skb);
	if (state->pf != NFPROTO_IPV4)
		return;
	if (in->flags & IFF_LOOPBACK ||
	    inet_addr_type_dev_table(dn->net, in, ip_hdr(skb)->saddr) ==
	    RTN_LOCAL)
		divert_route_own(dn->net, skb, in);
}

void divert_tag_out(struct sk_buff *skb, u16 cookie)
{
	*divert_tag(skb) = (struct divert_tag){
		.magic		= DIVERT_TAG_MAGIC,
		.cookie		= cookie,
		.protocol	= divert_ip_protocol(skb),
	};
}

bool divert_resume_out(const struct sk_buff *skb,
		       const struct nf_hook_state *state, u16 *cookie)
{
	const struct divert_tag *tag = divert_tag(skb);

	if (!state->sk || !divert_is_socket(state->sk) ||
	    !net_eq(sock_net(state->sk), state->net))
		return false;
	if (tag->magic != DIVERT_TAG_MAGIC ||
	    tag->protocol != divert_ip_protocol(skb))
		return false;

	*cookie = tag->cookie;
	return true;
}

void divert_tags_exit(struct divert_net *dn)
{
	struct metadata_dst *md;
	unsigned long cookie;

	xa_for_each(&dn->tags, cookie, md)
		dst_release(&md->dst);
	xa_destroy(&dn->tags);
}
