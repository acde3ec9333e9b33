// SPDX-License-Identifier: GPL-2.0
/*
 * Letting a packet that is in our hands go on through the stack's hooks: at
 * once, or later, behind our own hook, with all it had when it was taken.
 *
 * What a held packet refers to (struct nf_hook_state) is held by references:
 * both devices, of which skb->dev is one or none, the sender's socket, the route
 * and the connection. A device that goes takes them away, see
 * divert_queue_forget_dev(); packets that are on their way between the queue, a
 * reader or writer, and the stack are asked before they go on.
 */

#include <linux/netdevice.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <net/inet_hashtables.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_queue.h>
#include <net/netns/netfilter.h>

#include "divert.h"

static struct kmem_cache *divert_extra_cache;

/* Those last used on a CPU, still in its cache; with softirqs off. */
struct divert_extra_pool {
	struct divert_extra	*first;	/* chained by their first word */
	unsigned int		n;
};

static DEFINE_PER_CPU(struct divert_extra_pool, divert_extra_pool);

#define DIVERT_EXTRA_POOL	64

/**
 * divert_extra_alloc() - make what goes along with a packet
 *
 * With softirqs off.
 *
 * Return: with nothing in @info and nothing held, the rest is not initialised;
 * or NULL.
 */
struct divert_extra *divert_extra_alloc(void)
{
	struct divert_extra_pool *pool = this_cpu_ptr(&divert_extra_pool);
	struct divert_extra *extra = pool->first;

	if (likely(extra)) {
		pool->first = *(struct divert_extra **)extra;
		pool->n--;
	} else {
		extra = kmem_cache_alloc(divert_extra_cache, GFP_ATOMIC);
		if (!extra)
			return NULL;
	}

	extra->id = 0;
	extra->tstamp = 0;
	extra->held = false;
	extra->info.size = 0;
	return extra;
}

/* With softirqs off. */
static void divert_extra_recycle(struct divert_extra *extra)
{
	struct divert_extra_pool *pool = this_cpu_ptr(&divert_extra_pool);

	if (unlikely(pool->n >= DIVERT_EXTRA_POOL)) {
		kmem_cache_free(divert_extra_cache, extra);
		return;
	}
	*(struct divert_extra **)extra = pool->first;
	pool->first = extra;
	pool->n++;
}

static void divert_extra_exit(void)
{
	struct divert_extra *extra;
	int cpu;

	for_each_possible_cpu(cpu) {
		struct divert_extra_pool *pool;

		pool = per_cpu_ptr(&divert_extra_pool, cpu);
		while ((extra = pool->first)) {
			pool->first = *(struct divert_extra **)extra;
			kmem_cache_free(divert_extra_cache, extra);
		}
	}
	kmem_cache_destroy(divert_extra_cache);
}

/* For a clone of the packet, which holds nothing. */
struct divert_extra *divert_extra_dup(const struct divert_extra *extra)
{
	struct divert_extra *dup = divert_extra_alloc();

	if (!dup)
		return NULL;
	dup->tstamp = extra->tstamp;
	dup->keep = extra->keep;
	dup->copy = extra->copy;
	dup->info = extra->info;
	return dup;
}

/**
 * divert_extra_free() - what goes along with a packet goes
 * @skb: packet, off the queue
 */
void divert_extra_free(struct sk_buff *skb)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (!extra)
		return;
	divert_unhold(skb);
	DIVERT_CB(skb)->extra = NULL;
	kmem_cache_free(divert_extra_cache, extra);
}

static const struct nf_hook_entries *
divert_hook_entries(const struct nf_hook_state *state)
{
	const struct netns_nf *nf = &state->net->nf;

	if (state->pf == NFPROTO_IPV6)
		return rcu_dereference(nf->hooks_ipv6[state->hook]);
	return rcu_dereference(nf->hooks_ipv4[state->hook]);
}

/* The first hook where rules set marks: what lies before it (reassembly,
 * conntrack) the packet has behind it.
 */
static unsigned int divert_rules_index(const struct nf_hook_entries *entries)
{
	struct nf_hook_ops **ops = nf_hook_entries_get_hook_ops(entries);
	unsigned int i;

	for (i = 0; i < entries->num_hook_entries; i++)
		if (ops[i]->priority >= NF_IP_PRI_MANGLE)
			break;
	return i;
}

/* Our own hook's place; others come and go, so it is looked up. */
static int divert_own_index(const struct divert_net *dn,
			    const struct nf_hook_entries *entries)
{
	unsigned int i;

	if (!entries)
		return -ENOENT;
	for (i = 0; i < entries->num_hook_entries; i++)
		if (entries->hooks[i].priv == dn)
			return i;
	return -ENOENT;
}

/**
 * divert_look_again() - let the rules of this hook see a packet once more
 * @dn: namespace
 * @skb: packet
 * @state: the hook, ours, that it is in
 *
 * Called under RCU. Not by nf_hook_slow(), which would go on past our hook: each
 * look would take more of the stack, and who sent the packet would not learn
 * that a rule has dropped it.
 *
 * Return: what the hooks between the first rules and us say; NF_ACCEPT: the
 * packet is at our hook again.
 */
unsigned int divert_look_again(const struct divert_net *dn, struct sk_buff *skb,
			       const struct nf_hook_state *state)
{
	const struct nf_hook_entries *entries = divert_hook_entries(state);
	struct nf_hook_state again = *state;
	int own = divert_own_index(dn, entries);
	unsigned int verdict;
	int i;

	if (own < 0)
		return NF_ACCEPT;

	for (i = divert_rules_index(entries); i < own; i++) {
		verdict = nf_hook_entry_hookfn(&entries->hooks[i], skb, &again);
		switch (verdict & NF_VERDICT_MASK) {
		case NF_ACCEPT:
			break;
		case NF_QUEUE:
			/* 1: nobody is there, and the rule says go on. */
			if (nf_queue(skb, &again, i, verdict) != 1)
				return NF_STOLEN;
			break;
		default:
			return verdict;
		}
	}
	return NF_ACCEPT;
}

/* A sender that is nobody's, one for each CPU and all namespaces, must not run
 * out of memory because its packets are kept here.
 */
static void divert_hold_sender(struct sk_buff *skb)
{
	if (skb->sk && sk_fullsock(skb->sk) && !skb->sk->sk_net_refcnt)
		skb_orphan(skb);
}

/* A receiver that was chosen ahead (bpf_sk_assign()) may be there until our hook
 * returns, and no longer. False if it is going.
 */
static bool divert_hold_receiver(struct sk_buff *skb)
{
	if (!skb_sk_is_prefetched(skb) || sk_is_refcounted(skb->sk))
		return true;
	if (!refcount_inc_not_zero(&skb->sk->sk_refcnt))
		return false;
	skb->destructor = sock_edemux;
	return true;
}

/**
 * divert_hold_shares() - is the packet one of several that must not part?
 * @skb: packet at our hook
 *
 * An entry of conntrack's that is not confirmed belongs to one packet: others of
 * the same send or multicast must not go on beside it.
 */
bool divert_hold_shares(const struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	enum ip_conntrack_info info;
	const struct nf_conn *ct = nf_ct_get(skb, &info);

	return ct && !nf_ct_is_confirmed(ct) && divert_ct_refs(ct) > 1;
#else
	return false;
#endif
}

/* On its way out, a packet may name a device that it has left behind, a tunnel,
 * perhaps of another namespace. Nobody would tell us when that goes.
 */
static void divert_hold_devices(struct sk_buff *skb,
				struct nf_hook_state *state)
{
	if (state->in && !net_eq(dev_net(state->in), state->net))
		state->in = NULL;
	if (skb->dev != state->in && skb->dev != state->out)
		skb->dev = state->in;
	dev_hold(state->in);
	dev_hold(state->out);
}

/**
 * divert_hold() - keep what a packet needs to go on later
 * @extra: where it is kept
 * @skb: packet at our hook; its control block is still the stack's
 * @state: the hook
 *
 * A packet that cannot be held (its sender or its route is going, or it is one
 * of several that only know each other) is read like any other, it just cannot be
 * passed.
 */
void divert_hold(struct divert_extra *extra, struct sk_buff *skb,
		 const struct nf_hook_state *state)
{
	if (divert_hold_shares(skb))
		return;
	if (skb_dst(skb) && !skb_dst_force(skb))
		return;
	if (!divert_hold_receiver(skb))
		return;
	if (state->sk && !refcount_inc_not_zero(&state->sk->sk_refcnt))
		return;

	divert_hold_sender(skb);
	extra->state = *state;
	divert_hold_devices(skb, &extra->state);
	memcpy(extra->cb, skb->cb, sizeof(extra->cb));
	extra->held = true;
}

static void divert_refs_put(struct net_device *in, struct net_device *out,
			    struct sock *sk)
{
	dev_put(in);
	dev_put(out);
	if (sk)
		sock_gen_put(sk);
}

/* Let go of all that belongs to the packet's way through the stack: it may be
 * read long after its device, its route or its namespace's rules have gone.
 */
void divert_detach(struct sk_buff *skb)
{
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	skb_ext_reset(skb);
	skb->dev = NULL;
}

/**
 * divert_unhold() - the packet will not go on
 * @skb: queued packet, under the queue's lock, or just off the queue
 */
void divert_unhold(struct sk_buff *skb)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (!extra || !extra->held)
		return;

	extra->held = false;
	divert_refs_put(extra->state.in, extra->state.out, extra->state.sk);
	divert_detach(skb);
}

/**
 * divert_hold_uses() - does a packet hold this device?
 * @skb: queued packet, under the queue's lock
 * @dev: device
 */
bool divert_hold_uses(const struct sk_buff *skb, const struct net_device *dev)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;

	return extra && extra->held &&
	       (extra->state.in == dev || extra->state.out == dev ||
		skb->dev == dev);
}

/* Out of existence, or to another namespace */
static bool divert_dev_going(const struct net_device *dev,
			     const struct net *net)
{
	return dev && (dev->reg_state != NETREG_REGISTERED ||
		       !net_eq(dev_net(dev), net));
}

/**
 * divert_hold_gone() - has a device gone that a held packet needs?
 * @skb: packet, under the queue's lock
 *
 * divert_queue_forget_dev() does not see packets that are being read.
 */
bool divert_hold_gone(const struct sk_buff *skb)
{
	const struct nf_hook_state *state = &DIVERT_CB(skb)->extra->state;

	return divert_dev_going(state->in, state->net) ||
	       divert_dev_going(state->out, state->net) ||
	       divert_dev_going(skb->dev, state->net);
}

/* Under RCU, with softirqs off. */
static void divert_go_behind_one(struct divert_net *dn, struct sk_buff *skb,
				 struct nf_hook_state *state)
{
	const struct nf_hook_entries *entries = divert_hook_entries(state);
	int own = divert_own_index(dn, entries);

	divert_leave(dn, skb, state);
	if (unlikely(own < 0))
		kfree_skb(skb);
	else if (own + 1 == entries->num_hook_entries ||
		 nf_hook_slow(skb, state, entries, own + 1) == 1)
		state->okfn(state->net, state->sk, skb);
}

/* From the first rules of the hook on, with the mark of a packet that resumes
 * after @cookie: those up to it are behind the packet, others may divert it.
 */
static void divert_go_rules_one(struct divert_net *dn, struct sk_buff *skb,
				struct nf_hook_state *state, u16 cookie)
{
	const struct nf_hook_entries *entries = divert_hook_entries(state);

	divert_rewind(dn, skb, state, cookie);
	if (unlikely(!entries))
		kfree_skb(skb);
	else if (nf_hook_slow(skb, state, entries,
			      divert_rules_index(entries)) == 1)
		state->okfn(state->net, state->sk, skb);
}

/**
 * divert_pass_behind() - let a packet go on behind our hook
 * @dn: namespace
 * @skb: packet, as it was at our hook; consumed
 * @state: the hook
 */
void divert_pass_behind(struct divert_net *dn, struct sk_buff *skb,
			const struct nf_hook_state *state)
{
	struct nf_hook_state behind = *state;

	rcu_read_lock();
	local_bh_disable();
	divert_go_behind_one(dn, skb, &behind);
	local_bh_enable();
	rcu_read_unlock();
}

static bool divert_go_ready(const struct nf_hook_state *state)
{
	return (!state->in || divert_dev_alive(state->in, state->net)) &&
	       (!state->out || divert_dev_alive(state->out, state->net));
}

/* A held packet goes on; under RCU, with softirqs off, and not with a lock that
 * a packet's way could need.
 */
static void divert_go_one(struct divert_net *dn, struct sock *reader,
			  struct sk_buff *skb, bool rules)
{
	struct divert_extra *extra = DIVERT_CB(skb)->extra;
	struct nf_hook_state state = extra->state;
	struct net_device *in = state.in, *out = state.out;
	u16 cookie = DIVERT_CB(skb)->cookie;
	struct sock *sk = state.sk;

	memcpy(skb->cb, extra->cb, sizeof(extra->cb));
	divert_extra_recycle(extra);
	if (unlikely(!divert_go_ready(&state))) {
		divert_count(dn, reader, DIVERT_STAT_CONGESTED);
		kfree_skb(skb);
	} else if (rules) {
		divert_go_rules_one(dn, skb, &state, cookie);
	} else {
		divert_go_behind_one(dn, skb, &state);
	}
	divert_refs_put(in, out, sk);
}

static void divert_go(struct divert_net *dn, struct sock *sk,
		      struct sk_buff_head *list, bool rules)
{
	struct sk_buff *skb;

	rcu_read_lock();
	local_bh_disable();
	while ((skb = __skb_dequeue(list)))
		divert_go_one(dn, sk, skb, rules);
	local_bh_enable();
	rcu_read_unlock();
}

/**
 * divert_release() - let a held packet go on behind our hook
 * @dn: namespace
 * @sk: socket that it was for
 * @skb: packet off its place, consumed
 */
void divert_release(struct divert_net *dn, struct sock *sk,
		    struct sk_buff *skb)
{
	rcu_read_lock();
	local_bh_disable();
	divert_go_one(dn, sk, skb, false);
	local_bh_enable();
	rcu_read_unlock();
}

/* divert_go_t: held packets, behind our hook or at the rules */
void divert_go_behind(struct divert_net *dn, struct sock *sk,
		      struct sk_buff_head *list)
{
	divert_go(dn, sk, list, false);
}

void divert_go_rules(struct divert_net *dn, struct sock *sk,
		     struct sk_buff_head *list)
{
	divert_go(dn, sk, list, true);
}

static int divert_device_event(struct notifier_block *nb, unsigned long event,
			       void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct divert_net *dn = divert_pernet(dev_net(dev));
	struct divert_sock *ds;

	if (event != NETDEV_UNREGISTER)
		return NOTIFY_DONE;

	spin_lock(&dn->socks_lock);
	hlist_for_each_entry(ds, &dn->socks, node)
		divert_queue_forget_dev(dn, &ds->inet.sk, dev);
	spin_unlock(&dn->socks_lock);
	return NOTIFY_DONE;
}

static struct notifier_block divert_device_notifier = {
	.notifier_call	= divert_device_event,
};

int divert_hold_init(void)
{
	int err;

	divert_extra_cache = KMEM_CACHE_USERCOPY(divert_extra, 0, info);
	if (!divert_extra_cache)
		return -ENOMEM;

	err = register_netdevice_notifier(&divert_device_notifier);
	if (err)
		kmem_cache_destroy(divert_extra_cache);
	return err;
}

void divert_hold_exit(void)
{
	unregister_netdevice_notifier(&divert_device_notifier);
	divert_extra_exit();
}
