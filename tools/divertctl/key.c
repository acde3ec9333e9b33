// SPDX-License-Identifier: GPL-2.0
/* What rules can look at, and where nft and the kernel find it. */

#include <linux/netfilter/nf_tables.h>

#include "rule.h"

/* Numbers of nft's types, which it shows sets by */
#define TYPE_IPADDR		7
#define TYPE_IP6ADDR		8
#define TYPE_INET_PROTOCOL	12
#define TYPE_INET_SERVICE	13
#define TYPE_ICMP_TYPE		14
#define TYPE_ICMP6_TYPE		29

const struct key keys[KEY_N] = {
	[KEY_NFPROTO]	= { "meta nfproto", FROM_META, NFT_META_NFPROTO, 1 },
	[KEY_L4PROTO]	= { "meta l4proto", FROM_META, NFT_META_L4PROTO, 1,
			    .type = TYPE_INET_PROTOCOL },
	[KEY_SADDR4]	= { "ip saddr", FROM_NETWORK, 12, 4,
			    .type = TYPE_IPADDR },
	[KEY_DADDR4]	= { "ip daddr", FROM_NETWORK, 16, 4,
			    .type = TYPE_IPADDR },
	[KEY_SADDR6]	= { "ip6 saddr", FROM_NETWORK, 8, 16,
			    .type = TYPE_IP6ADDR },
	[KEY_DADDR6]	= { "ip6 daddr", FROM_NETWORK, 24, 16,
			    .type = TYPE_IP6ADDR },
	[KEY_SLOCAL]	= { "fib saddr type", FROM_FIB, NFTA_FIB_F_SADDR, 4,
			    .host = true },
	[KEY_DLOCAL]	= { "fib daddr type", FROM_FIB, NFTA_FIB_F_DADDR, 4,
			    .host = true },
	[KEY_SPORT]	= { "th sport", FROM_TRANSPORT, 0, 2,
			    .type = TYPE_INET_SERVICE },
	[KEY_DPORT]	= { "th dport", FROM_TRANSPORT, 2, 2,
			    .type = TYPE_INET_SERVICE },
	[KEY_IIFNAME]	= { "iifname", FROM_META, NFT_META_IIFNAME, IFNAMSIZ },
	[KEY_OIFNAME]	= { "oifname", FROM_META, NFT_META_OIFNAME, IFNAMSIZ },
	[KEY_ICMP]	= { "icmp type", FROM_TRANSPORT, 0, 1,
			    .type = TYPE_ICMP_TYPE },
	[KEY_ICMP6]	= { "icmpv6 type", FROM_TRANSPORT, 0, 1,
			    .type = TYPE_ICMP6_TYPE },
	[KEY_TTL]	= { "ip ttl", FROM_NETWORK, 8, 1 },
	[KEY_HOPLIMIT]	= { "ip6 hoplimit", FROM_NETWORK, 7, 1 },
	[KEY_TCPFLAGS]	= { "tcp flags", FROM_TRANSPORT, 13, 1, .hex = true },
	[KEY_UID]	= { "meta skuid", FROM_META, NFT_META_SKUID, 4,
			    .host = true },
	[KEY_GID]	= { "meta skgid", FROM_META, NFT_META_SKGID, 4,
			    .host = true },
	[KEY_MARK]	= { "meta mark", FROM_META, NFT_META_MARK, 4,
			    .host = true, .hex = true },
};
