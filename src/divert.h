/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the rooms of the module do for each other, room by room.
 */
#ifndef _DIVERT_H
#define _DIVERT_H

#include "types.h"

/* The mark to route a written packet with: chosen for this one, or for all of
 * the socket's, or the one it came with.
 */
static inline u32 divert_dest_mark(const struct divert_dest *to,
				   const struct sock *sk)
{
	if (to->marked)
		return to->context.mark;
	return READ_ONCE(sk->sk_mark) ?: to->context.mark;
}

/* The interface to leave by, in the same order; 0 = any. */
static inline int divert_dest_oif(const struct divert_dest *to,
				  const struct sock *sk)
{
	return to->oif ?: READ_ONCE(sk->sk_bound_dev_if) ?: to->context.oif;
}

/* Lengths of the shortest address that a socket of @family takes. */
static inline int divert_address_min(u16 family)
{
	return family == AF_INET6 ? SIN6_LEN_RFC2133 :
				    (int)sizeof(struct sockaddr_in);
}

/* The bits of a mark that belong to us. */
static inline u32 divert_mark_ours(const struct divert_conf *conf)
{
	return READ_ONCE(conf->port_mask) | READ_ONCE(conf->cookie_mask) |
	       READ_ONCE(conf->tee_mask);
}

/* What a packet's IP header says comes next. */
static inline u8 divert_ip_protocol(const struct sk_buff *skb)
{
	return ip_hdr(skb)->version == 6 ? ipv6_hdr(skb)->nexthdr :
					   ip_hdr(skb)->protocol;
}

/* IPv6 routers do not fragment, but a packet larger than the link it came by
 * was taken apart before and goes on so. TCP's were not: such a segment has
 * grown, and its sender must be told. So it is with several segments in one.
 */
static inline bool divert_reassembled6(const struct sk_buff *skb,
				       const struct net_device *dev)
{
	return skb->len > READ_ONCE(dev->mtu) && !skb_is_gso(skb) &&
	       ipv6_hdr(skb)->nexthdr != IPPROTO_TCP;
}

/* main.c */
extern unsigned int divert_net_id;
struct divert_net *divert_pernet(const struct net *net);

/* hook.c */
int divert_hooks_get(struct divert_net *dn);
int divert_defrag_update(struct divert_net *dn);
void divert_hooks_exit(struct divert_net *dn);
u32 divert_mark_resumed(const struct divert_conf *conf, u16 cookie);
bool divert_port_reachable(const struct divert_conf *conf, u32 port);
void divert_leave(struct divert_net *dn, struct sk_buff *skb,
		  const struct nf_hook_state *state);
void divert_rewind(struct divert_net *dn, struct sk_buff *skb,
		   const struct nf_hook_state *state, u16 cookie);

/* port.c */
int divert_port_bind(struct divert_net *dn, struct sock *sk, u16 port);
void divert_port_release(struct divert_net *dn, struct sock *sk);
void divert_ports_exit(struct divert_net *dn);

/* Under RCU */
static inline const struct divert_port *
divert_port_lookup(const struct divert_net *dn, u16 num)
{
	const struct divert_ports *page = rcu_dereference(dn->ports[num >> 8]);

	return page ? rcu_dereference(page->port[num & 0xff]) : NULL;
}

struct sock *divert_port_owner(const struct divert_port *port,
			       struct sk_buff *skb,
			       const struct nf_hook_state *state);
struct sock *divert_port_watcher(const struct divert_port *port,
				 unsigned int *i,
				 const struct nf_hook_state *state);

/* deliver.c */
bool divert_filter_wants(const struct sock *sk, struct sk_buff *skb);

/* Does the socket's filter, if it has one, want this packet? */
static inline bool divert_wanted(const struct sock *sk, struct sk_buff *skb)
{
	return likely(!rcu_access_pointer(sk->sk_filter)) ||
	       divert_filter_wants(sk, skb);
}

bool divert_deliver(struct divert_net *dn, struct sock *sk, struct sk_buff *skb,
		    const struct nf_hook_state *state,
		    const struct divert_target *to);
void divert_deliver_copy(struct divert_net *dn, struct sock *sk,
			 struct sk_buff *skb, const struct nf_hook_state *state,
			 const struct divert_target *to);
void divert_drop(struct divert_net *dn, struct sock *sk, struct sk_buff *skb,
		 enum divert_stat reason);

/* queue.c */
/* May a packet be queued, if it is short enough? Without the queue's lock this is
 * a guess: see divert_queue_append().
 */
static inline bool divert_queue_open(const struct sock *sk)
{
	u32 packets = READ_ONCE(divert_sk(sk)->limits.packets);

	return atomic_read(&sk->sk_rmem_alloc) < READ_ONCE(sk->sk_rcvbuf) &&
	       (!packets || READ_ONCE(divert_sk(sk)->packets) < packets);
}

/* May this packet, or these in one, be queued? Likewise. */
static inline bool divert_queue_room(const struct sock *sk,
				     const struct sk_buff *skb)
{
	const struct divert_sock *ds = divert_sk(sk);
	u64 bytes = READ_ONCE(ds->limits.bytes);

	if (!divert_queue_open(sk))
		return false;
	return !bytes || READ_ONCE(ds->bytes) + skb->len <= bytes;
}

/* How much of a packet its reader gets. */
static inline size_t divert_read_len(const struct divert_read *read,
				     const struct sk_buff *skb)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (!extra || extra->keep != DIVERT_KEEP_HEADERS || !read->headers)
		return skb->len;
	return min(read->headers, skb->len);
}

bool divert_queue_append(struct divert_net *dn, struct sock *sk,
			 struct sk_buff *skb, bool copy);
int divert_queue_read(struct sock *sk, int flags, struct divert_read *read);
void divert_queue_discard(struct divert_net *dn, struct sock *sk,
			  struct sk_buff *skb, enum divert_stat reason);
void divert_queue_dispose_list(struct divert_net *dn, struct sock *sk,
			       struct sk_buff_head *list, enum divert_stat why);
void divert_queue_close(struct divert_net *dn, struct sock *sk);
void divert_queue_forget_dev(struct divert_net *dn, struct sock *sk,
			     const struct net_device *dev);
void divert_queue_age(struct work_struct *work);
void divert_queue_age_start(struct divert_sock *ds);

static inline void divert_read_init(struct divert_read *read, int max,
				    size_t room)
{
	__skb_queue_head_init(&read->list);
	__skb_queue_head_init(&read->done);
	__skb_queue_head_init(&read->evicted);
	read->max = max;
	read->first = true;
	read->peek = false;
	read->room = room;
}

void divert_read_done(struct sock *sk, struct divert_read *read,
		      struct sk_buff *skb, bool keep);
void divert_read_undo(struct sock *sk, struct divert_read *read,
		      unsigned int n);
void divert_read_end(struct divert_net *dn, struct sock *sk,
		     struct divert_read *read);

/* kept.c */
#define DIVERT_KEPT_MAX		65536

int divert_kept_alloc(struct divert_sock *ds);
struct sk_buff *divert_kept_peek(struct divert_sock *ds);
struct sk_buff *divert_kept_oldest(struct divert_sock *ds);
void divert_kept_number(struct divert_sock *ds, struct sk_buff *skb,
			struct sk_buff_head *evicted);
bool divert_kept_publish(struct divert_sock *ds, struct sk_buff *skb,
			 struct sk_buff_head *evicted);
void divert_kept_forget(struct sock *sk, u64 id);
struct sk_buff *divert_kept_take(struct sock *sk, const struct divert_dest *to);
bool divert_kept_return(struct sock *sk, struct sk_buff *skb);
int divert_kept_take_upto(struct sock *sk, const struct divert_dest *to,
			  struct sk_buff_head *list);
void divert_kept_forget_dev(struct divert_sock *ds,
			    const struct net_device *dev,
			    struct sk_buff_head *lost);

/* verdict.c */
int divert_write(struct divert_net *dn, struct sock *sk, struct msghdr *msg,
		 size_t len, const struct divert_dest *to);

int divert_verdict(struct divert_net *dn, struct sock *sk,
		   const struct divert_bytes *from, size_t len,
		   const struct divert_dest *to, bool more);

/* patch.c */
int divert_patch(struct divert_net *dn, struct sk_buff *skb,
		 const struct divert_bytes *from, size_t len, u32 offset,
		 bool mark);

/* batch.c */
void divert_batch_add(struct divert_net *dn, struct sock *sk,
		      struct sk_buff *skb, divert_go_t *go, bool more);
void divert_batch_end(struct divert_net *dn, struct sock *sk);
void divert_batch_late(struct work_struct *work);
void divert_batch_close(struct divert_net *dn, struct sock *sk);

/* record.c */
static inline size_t divert_record_size(size_t captured)
{
	return ALIGN(sizeof(struct divert_record) + captured,
		     DIVERT_RECORD_ALIGN);
}

int divert_record_read(struct divert_net *dn, struct sock *sk,
		       struct msghdr *msg, size_t len, int flags);
int divert_record_write(struct divert_net *dn, struct sock *sk,
			struct msghdr *msg, size_t len);

/* info.c */
void divert_info_make(struct divert_info *info, struct divert_net *dn,
		      const struct sk_buff *skb,
		      const struct nf_hook_state *state,
		      const struct divert_target *to);
u32 divert_info_flags(const struct sk_buff *skb);
void divert_info_read(struct msghdr *msg, const struct sock *sk,
		      const struct sk_buff *skb);
int divert_info_parse(struct msghdr *msg, struct divert_dest *to);
void divert_info_exit(void);

/* offload.c */
bool divert_offload_whole(const struct sock *sk, const struct sk_buff *skb);
void divert_offload_read(struct msghdr *msg, const struct sock *sk,
			 const struct sk_buff *skb);
int divert_offload_parse(struct msghdr *msg, struct divert_offload *offload);
int divert_offload_apply(struct sk_buff *skb,
			 const struct divert_offload *offload);

/* option.c */
int divert_setsockopt(struct socket *sock, int level, int optname,
		      sockptr_t optval, unsigned int optlen);
int divert_getsockopt(struct socket *sock, int level, int optname,
		      char __user *optval, int __user *optlen);

/* address.c */
void divert_address_make(struct divert_cb *cb, const struct divert_conf *conf,
			 const struct sk_buff *skb,
			 const struct nf_hook_state *state, u16 family);
struct net_device *divert_forwarded_from(const struct sk_buff *skb,
					 const struct nf_hook_state *state);
struct divert_context divert_context_make(const struct divert_conf *conf,
					  const struct sk_buff *skb,
					  const struct nf_hook_state *state);
int divert_address_read(const struct sk_buff *skb, u16 family, void *name);
bool divert_address_ticket(const struct sk_buff *skb, u16 family, void *name);
int divert_address_parse(const void *name, int len, u16 family,
			 struct divert_dest *to);
struct net_device *divert_dev_named(struct net *net,
				    const struct divert_dest *to);
struct net_device *divert_dev_in(struct net *net, const struct divert_dest *to);

/* socket.c */
int divert_socket_init(void);
void divert_socket_exit(void);
bool divert_is_socket(const struct sock *sk);

/* frag.c */
struct sk_buff *divert_frag_skb(size_t len);
void divert_frag_exit(void);

/* inject.c */
int divert_inject(struct divert_net *dn, struct sock *sk, struct msghdr *msg,
		  size_t len, const struct divert_dest *to);

/* hold.c */

/**
 * divert_hold_possible() - can packets go on from this hook later?
 * @state: the hook
 *
 * A VRF that shows them to PRE_ROUTING as received on itself means to see to the
 * rest when the hooks return, and only then.
 */
static inline bool divert_hold_possible(const struct nf_hook_state *state)
{
	return state->hook != NF_INET_PRE_ROUTING ||
	       !netif_is_l3_master(state->in);
}

bool divert_hold_shares(const struct sk_buff *skb);

/* May packets go on by this device? One that is taken out of the namespace is
 * down first, and a grace period lies between that and its new one.
 */
static inline bool divert_dev_alive(const struct net_device *dev,
				    const struct net *net)
{
	return dev->flags & IFF_UP && dev->reg_state == NETREG_REGISTERED &&
	       net_eq(dev_net(dev), net);
}

void divert_hold(struct divert_extra *extra, struct sk_buff *skb,
		 const struct nf_hook_state *state);
void divert_unhold(struct sk_buff *skb);
void divert_detach(struct sk_buff *skb);
bool divert_hold_uses(const struct sk_buff *skb, const struct net_device *dev);
void divert_pass_behind(struct divert_net *dn, struct sk_buff *skb,
			const struct nf_hook_state *state);
void divert_release(struct divert_net *dn, struct sock *sk,
		    struct sk_buff *skb);
divert_go_t divert_go_behind;
divert_go_t divert_go_rules;
struct divert_extra *divert_extra_alloc(void);
struct divert_extra *divert_extra_dup(const struct divert_extra *extra);
void divert_extra_free(struct sk_buff *skb);
bool divert_hold_gone(const struct sk_buff *skb);
int divert_hold_init(void);
void divert_hold_exit(void);
unsigned int divert_look_again(const struct divert_net *dn, struct sk_buff *skb,
			       const struct nf_hook_state *state);

/* route.c, route6.c: outgoing packets */
void divert_routes_exit(struct divert_sock *ds);
int divert_route(struct net *net, struct sock *sk, struct sk_buff *skb,
		 const struct divert_dest *to);
#if IS_ENABLED(CONFIG_IPV6)
int divert_route6(struct net *net, struct sock *sk, struct sk_buff *skb,
		  const struct divert_dest *to);
int divert_reroute6(struct net *net, struct sock *sk, struct sk_buff *skb);
#else
static inline int divert_route6(struct net *net, struct sock *sk,
				struct sk_buff *skb,
				const struct divert_dest *to)
{
	return -EAFNOSUPPORT;
}

static inline int divert_reroute6(struct net *net, struct sock *sk,
				  struct sk_buff *skb)
{
	return -EAFNOSUPPORT;
}
#endif
bool divert_route_is_own(const struct divert_net *dn, struct net_device *in,
			 __be32 addr);
void divert_route_own(struct net *net, struct sk_buff *skb,
		      struct net_device *in);

/* resume.c */
/* What a packet carries in skb->cb, see there. */
struct divert_tag {
	u32	secret;
	u16	cookie;
	u8	protocol;
	u8	written:1;	/* by a divert socket, to be sent */
	u8	output:1;	/* stage */
};

/* Where in the control block: behind what IP keeps there, before what
 * segmentation writes (SKB_GSO_CB()), as NFQUEUE takes large packets apart.
 */
#define DIVERT_TAG_OFFSET	24
#define DIVERT_TAG_END		32

/* Does it look as if the packet resumed? Few do: the others need not ask. */
static inline bool divert_resumes(const struct divert_net *dn,
				  const struct sk_buff *skb)
{
	const struct divert_tag *tag = (void *)(skb->cb + DIVERT_TAG_OFFSET);
	const struct dst_entry *dst = skb_dst(skb);

	return tag->secret == dn->secret || (dst && dst->flags & DST_METADATA);
}

bool divert_stage_ends(const struct sk_buff *skb,
		       const struct nf_hook_state *state);
int divert_tag_in(struct divert_net *dn, struct sock *sk, struct sk_buff *skb,
		  u16 cookie);
void divert_resume_read(const struct divert_net *dn, const struct sk_buff *skb,
			const struct nf_hook_state *state,
			struct divert_resume *resume);
void divert_resume_advance(const struct divert_net *dn, struct sk_buff *skb,
			   const struct nf_hook_state *state,
			   const struct divert_resume *resume);
void divert_route_in(const struct divert_net *dn, struct sk_buff *skb,
		     const struct nf_hook_state *state);
void divert_resume_end(const struct divert_net *dn, struct sk_buff *skb,
		       const struct nf_hook_state *state);
void divert_tag_out(const struct divert_net *dn, struct sk_buff *skb,
		    u16 cookie);
void divert_tags_exit(struct divert_net *dn);

/* proc.c */
int divert_proc_init(struct divert_net *dn);
void divert_proc_exit(struct divert_net *dn);

/* stats.c */
extern const char * const divert_stat_names[DIVERT_STAT_MAX];
enum divert_stat divert_stat_errno(int err);
void divert_stats_fill(const struct divert_sock *ds, struct divert_stats *stats);
enum skb_drop_reason divert_stat_drop_reason(enum divert_stat i);

/* Counts for the namespace and, if there is one, the socket. */
static inline void divert_count_add(struct divert_net *dn, struct sock *sk,
				    enum divert_stat i, unsigned long n)
{
	this_cpu_add(dn->stats->n[i], n);
	if (sk)
		atomic_long_add(n, &divert_sk(sk)->counters[i]);
}

static inline void divert_count(struct divert_net *dn, struct sock *sk,
				enum divert_stat i)
{
	divert_count_add(dn, sk, i, 1);
}

/* sysctl.c */
void divert_conf_init(struct divert_conf *conf);
int divert_sysctl_init(struct divert_net *dn);
void divert_sysctl_exit(struct divert_net *dn);

#endif /* _DIVERT_H */
