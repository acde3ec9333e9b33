// SPDX-License-Identifier: GPL-2.0
/*
 * Segmentation and checksums that are left for later, told by a control message
 * (DIVERT_GSO): a packet is read as the stack has it, and written so.
 *
 * What a written packet is to have done to it is the writer's word, and drivers
 * do not look twice. So it must fit the packet in every respect, and then it is
 * as good as the stack's own: SKB_GSO_DODGY is not needed. The same question is
 * asked of a packet that is to be read: if the answer would not be taken back,
 * the packet is segmented and its checksum completed.
 */

#include <linux/build_bug.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ipv6.h>
#include <net/tcp.h>

#include <uapi/linux/virtio_net.h>

#include "divert.h"

/* All headers together. Offsets in struct sk_buff are of 16 bits, and headers
 * are copied into each segment.
 */
#define DIVERT_OFFLOAD_HEADERS	2048

/* A control message is this structure, byte for byte. */
static_assert(sizeof(struct divert_offload) == sizeof(struct virtio_net_hdr));
static_assert(offsetof(struct divert_offload, hdr_len) ==
	      offsetof(struct virtio_net_hdr, hdr_len));
static_assert(offsetof(struct divert_offload, csum_offset) ==
	      offsetof(struct virtio_net_hdr, csum_offset));

/* A packet's transport header, of TCP or UDP. Offsets count from the IP header. */
struct divert_transport {
	unsigned int	start;
	/* Where the payload begins */
	unsigned int	payload;
	u16		csum_offset;
	u8		protocol;
	/* The destination may not be the one that the checksum is made with. */
	bool		source_routed;
};

/* Finding the transport header */

static bool divert_transport_find4(const struct sk_buff *skb,
				   struct divert_transport *at)
{
	const struct iphdr *iph = ip_hdr(skb);

	at->start = iph->ihl * 4;
	at->protocol = iph->protocol;
	at->source_routed = at->start > sizeof(*iph);
	return ntohs(iph->tot_len) == skb->len && !ip_is_fragment(iph);
}

/* Behind extension headers that segments may have, too. */
static bool divert_transport_find6(const struct sk_buff *skb,
				   struct divert_transport *at)
{
	const struct ipv6hdr *iph = ipv6_hdr(skb);
	const struct ipv6_opt_hdr *ext;
	struct ipv6_opt_hdr buffer;

	at->start = sizeof(*iph);
	at->protocol = iph->nexthdr;
	at->source_routed = false;
	while (at->protocol == NEXTHDR_HOP || at->protocol == NEXTHDR_DEST ||
	       at->protocol == NEXTHDR_ROUTING) {
		ext = skb_header_pointer(skb, at->start, sizeof(buffer),
					 &buffer);
		if (!ext)
			return false;
		if (at->protocol == NEXTHDR_ROUTING)
			at->source_routed = true;
		at->start += ipv6_optlen(ext);
		at->protocol = ext->nexthdr;
	}
	return sizeof(*iph) + ntohs(iph->payload_len) == skb->len;
}

static bool divert_transport_tcp(const struct sk_buff *skb,
				 struct divert_transport *at)
{
	const struct tcphdr *th;
	struct tcphdr buffer;

	th = skb_header_pointer(skb, at->start, sizeof(buffer), &buffer);
	if (!th || th->doff * 4 < sizeof(*th))
		return false;

	at->payload = at->start + th->doff * 4;
	at->csum_offset = offsetof(struct tcphdr, check);
	return true;
}

static bool divert_transport_udp(const struct sk_buff *skb,
				 struct divert_transport *at)
{
	const struct udphdr *uh;
	struct udphdr buffer;

	uh = skb_header_pointer(skb, at->start, sizeof(buffer), &buffer);
	if (!uh || ntohs(uh->len) != skb->len - at->start)
		return false;

	at->payload = at->start + sizeof(*uh);
	at->csum_offset = offsetof(struct udphdr, check);
	return true;
}

/* False if the packet has none, or not whole, or is not as long as it says. */
static bool divert_transport_find(const struct sk_buff *skb,
				  struct divert_transport *at)
{
	bool found = ip_hdr(skb)->version == 6 ?
		     divert_transport_find6(skb, at) :
		     divert_transport_find4(skb, at);

	if (!found)
		return false;
	if (at->protocol == IPPROTO_TCP)
		found = divert_transport_tcp(skb, at);
	else
		found = at->protocol == IPPROTO_UDP &&
			divert_transport_udp(skb, at);
	return found &&
	       at->payload <= min_t(u32, skb->len, DIVERT_OFFLOAD_HEADERS);
}

/* The one question */

static bool divert_offload_segments_fit(const struct divert_offload *offload,
					const struct sk_buff *skb,
					const struct divert_transport *at)
{
	u8 version = ip_hdr(skb)->version;

	switch (offload->gso_type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN:
		return version == 4 && at->protocol == IPPROTO_TCP &&
		       offload->gso_size >= TCP_MIN_GSO_SIZE;
	case VIRTIO_NET_HDR_GSO_TCPV6:
	case VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN:
		return version == 6 && at->protocol == IPPROTO_TCP &&
		       offload->gso_size >= TCP_MIN_GSO_SIZE;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return at->protocol == IPPROTO_UDP && offload->gso_size &&
		       skb->len - at->payload <=
		       offload->gso_size * UDP_MAX_SEGMENTS;
	default:
		return false;
	}
}

/* Fills in @at if the checksum is left for later. */
static bool divert_offload_fits(const struct divert_offload *offload,
				const struct sk_buff *skb,
				struct divert_transport *at)
{
	bool segments = offload->gso_type != VIRTIO_NET_HDR_GSO_NONE;

	if (offload->flags & ~(VIRTIO_NET_HDR_F_NEEDS_CSUM |
			       VIRTIO_NET_HDR_F_DATA_VALID) ||
	    offload->hdr_len > skb->len)
		return false;
	if (!(offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return !segments;

	return divert_transport_find(skb, at) &&
	       offload->csum_start == at->start &&
	       offload->csum_offset == at->csum_offset &&
	       (!segments || divert_offload_segments_fit(offload, skb, at));
}

/* Reading */

static u8 divert_offload_type(const struct sk_buff *skb)
{
	unsigned int type = skb_shinfo(skb)->gso_type;
	u8 ecn = type & SKB_GSO_TCP_ECN ? VIRTIO_NET_HDR_GSO_ECN : 0;

	/* Ids that stay the same are those of packets that must not be
	 * fragmented: nobody looks at them.
	 */
	switch (type & ~(SKB_GSO_DODGY | SKB_GSO_TCP_ECN |
			 SKB_GSO_TCP_FIXEDID)) {
	case SKB_GSO_TCPV4:
		return VIRTIO_NET_HDR_GSO_TCPV4 | ecn;
	case SKB_GSO_TCPV6:
		return VIRTIO_NET_HDR_GSO_TCPV6 | ecn;
	case SKB_GSO_UDP_L4:
		return VIRTIO_NET_HDR_GSO_UDP_L4 | ecn;
	default:
		return VIRTIO_NET_HDR_GSO_NONE;
	}
}

/* What the stack says is left to be done, fit to be written back or not. */
static struct divert_offload divert_offload_of(const struct sk_buff *skb)
{
	struct divert_offload offload = { };

	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		offload.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		offload.csum_start = skb_checksum_start_offset(skb);
		offload.csum_offset = skb->csum_offset;
	} else if (skb_csum_unnecessary(skb)) {
		offload.flags = VIRTIO_NET_HDR_F_DATA_VALID;
	}
	if (skb_is_gso(skb)) {
		offload.gso_type = divert_offload_type(skb);
		offload.gso_size = skb_shinfo(skb)->gso_size;
	}
	return offload;
}

/* False if what is left to be done cannot be told; @offload is then zero. */
static bool divert_offload_describe(const struct sk_buff *skb,
				    struct divert_offload *offload)
{
	struct divert_offload o = divert_offload_of(skb);
	struct divert_transport at;

	memset(offload, 0, sizeof(*offload));

	if (skb_is_gso(skb) && o.gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return false;
	if (!divert_offload_fits(&o, skb, &at))
		return false;
	if (skb_is_gso(skb))
		o.hdr_len = at.payload;
	*offload = o;
	return true;
}

/**
 * divert_offload_whole() - may the socket read this packet as it is?
 * @sk: socket
 * @skb: packet at a hook
 *
 * Return: false if it must be segmented and its checksum completed.
 */
bool divert_offload_whole(const struct sock *sk, const struct sk_buff *skb)
{
	struct divert_offload offload;

	/* Records have no place for it. */
	return READ_ONCE(divert_sk(sk)->gso) &&
	       !READ_ONCE(divert_sk(sk)->records) &&
	       divert_offload_describe(skb, &offload);
}

/* Without a message it is not understood. */
static bool divert_offload_left(const struct sk_buff *skb)
{
	return skb_is_gso(skb) || skb->ip_summed == CHECKSUM_PARTIAL;
}

/**
 * divert_offload_read() - give a reader its control message
 * @msg: of the read
 * @sk: socket
 * @skb: packet
 */
void divert_offload_read(struct msghdr *msg, const struct sock *sk,
			 const struct sk_buff *skb)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;
	bool headers = extra && extra->keep == DIVERT_KEEP_HEADERS;
	struct divert_offload offload;

	/* One that is not asked for is for a packet that is written as it is
	 * read: headers are not.
	 */
	if (!READ_ONCE(divert_sk(sk)->gso) &&
	    (headers || !divert_offload_left(skb)))
		return;

	/* What was queued whole has been found fit then. */
	if (headers || skb_is_gso(skb))
		divert_offload_describe(skb, &offload);
	else
		offload = divert_offload_of(skb);
	put_cmsg(msg, SOL_DIVERT, DIVERT_GSO, sizeof(offload), &offload);
}

/* Writing */

/**
 * divert_offload_parse() - read the control message of a write
 * @msg: of the write
 * @offload: changed to what the message says
 *
 * Return: 0 or -EINVAL.
 */
int divert_offload_parse(struct msghdr *msg, struct divert_offload *offload)
{
	struct cmsghdr *cmsg;

	for_each_cmsghdr(cmsg, msg) {
		if (!CMSG_OK(msg, cmsg))
			return -EINVAL;
		if (cmsg->cmsg_level != SOL_DIVERT ||
		    cmsg->cmsg_type != DIVERT_GSO)
			continue;

		if (cmsg->cmsg_len != CMSG_LEN(sizeof(*offload)))
			return -EINVAL;
		memcpy(offload, CMSG_DATA(cmsg), sizeof(*offload));
	}
	return 0;
}

/* What the checksum of everything behind it is to be added to. Not left to the
 * writer, who has changed addresses and lengths and might forget.
 */
static void divert_offload_pseudo_header(struct sk_buff *skb,
					 const struct divert_transport *at)
{
	__sum16 *check = (__sum16 *)(skb_transport_header(skb) +
				     at->csum_offset);
	unsigned int len = skb->len - at->start;

	if (at->source_routed)
		return;
	if (ip_hdr(skb)->version == 6)
		*check = ~csum_ipv6_magic(&ipv6_hdr(skb)->saddr,
					  &ipv6_hdr(skb)->daddr, len,
					  at->protocol, 0);
	else
		*check = ~csum_tcpudp_magic(ip_hdr(skb)->saddr,
					    ip_hdr(skb)->daddr, len,
					    at->protocol, 0);
}

static unsigned int divert_offload_skb_type(const struct divert_offload *offload,
					    const struct sk_buff *skb)
{
	unsigned int type;

	switch (offload->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		type = SKB_GSO_TCPV4;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		type = SKB_GSO_TCPV6;
		break;
	default:
		return SKB_GSO_UDP_L4;
	}

	/* The header has it; a device that cannot do it must know. */
	return tcp_hdr(skb)->cwr ? type | SKB_GSO_TCP_ECN : type;
}

static void divert_offload_segments(struct sk_buff *skb,
				    const struct divert_offload *offload,
				    const struct divert_transport *at)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);
	unsigned int payload = skb->len - at->payload;

	/* One segment is none. */
	if (payload <= offload->gso_size)
		return;
	shinfo->gso_type = divert_offload_skb_type(offload, skb);
	shinfo->gso_size = offload->gso_size;
	shinfo->gso_segs = DIV_ROUND_UP(payload, offload->gso_size);
}

/**
 * divert_offload_apply() - have things done to a written packet later
 * @skb: packet, checked, as long as it says, header linear
 * @offload: what is left to be done; all zero: nothing
 *
 * Return: 0, -EINVAL if it does not fit the packet, or -ENOBUFS.
 */
int divert_offload_apply(struct sk_buff *skb,
			 const struct divert_offload *offload)
{
	struct divert_transport at;

	if (likely(!(offload->flags | offload->gso_type | offload->hdr_len)))
		return 0;
	if (!divert_offload_fits(offload, skb, &at))
		return -EINVAL;
	if (!(offload->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return 0;

	if (!pskb_may_pull(skb, at.payload) ||
	    !skb_partial_csum_set(skb, at.start, at.csum_offset))
		return -ENOBUFS;

	divert_offload_pseudo_header(skb, &at);
	if (offload->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		divert_offload_segments(skb, offload, &at);
	return 0;
}
