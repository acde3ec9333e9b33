// SPDX-License-Identifier: GPL-2.0
/*
 * Listing sockets by sock_diag, a module of its own that is loaded when it is
 * asked: struct inet_diag_req_v2 with the protocol in INET_DIAG_REQ_PROTOCOL,
 * since its own field has 8 bits. INET_DIAG_INFO is struct divert_stats.
 *
 * Sockets of other namespaces are never shown. A socket's mark is shown to
 * those with CAP_NET_ADMIN only; that, as all of the answer but the counters,
 * is inet_diag's doing.
 */

#include <linux/inet_diag.h>
#include <linux/module.h>
#include <linux/sock_diag.h>
#include <net/netlink.h>

#include "divert.h"

static bool divert_diag_wanted(const struct sock *sk,
			       const struct inet_diag_req_v2 *req)
{
	if (req->sdiag_family != AF_UNSPEC && req->sdiag_family != sk->sk_family)
		return false;
	if (!(req->idiag_states & (1 << sk->sk_state)))
		return false;
	return !req->id.idiag_sport ||
	       req->id.idiag_sport == inet_sk(sk)->inet_sport;
}

/* inet_diag has INET_DIAG_INFO for connections only: ours is put behind what it
 * tells.
 */
static int divert_diag_fill(struct sock *sk, struct sk_buff *skb,
			    struct netlink_callback *cb,
			    const struct inet_diag_req_v2 *req, u16 flags,
			    bool admin)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)skb_tail_pointer(skb);
	struct nlattr *attr;
	int err;

	err = inet_sk_diag_fill(sk, NULL, skb, cb, req, flags, admin);
	if (err < 0 || !(req->idiag_ext & (1 << (INET_DIAG_INFO - 1))))
		return err;

	attr = nla_reserve_64bit(skb, INET_DIAG_INFO,
				 sizeof(struct divert_stats), INET_DIAG_PAD);
	if (!attr) {
		nlmsg_cancel(skb, nlh);
		return -EMSGSIZE;
	}
	divert_stats_fill(divert_sk(sk), nla_data(attr));
	nlmsg_end(skb, nlh);
	return 0;
}

static void divert_diag_dump(struct sk_buff *skb, struct netlink_callback *cb,
			     const struct inet_diag_req_v2 *req)
{
	struct divert_net *dn = divert_pernet(sock_net(skb->sk));
	bool admin = netlink_net_capable(cb->skb, CAP_NET_ADMIN);
	struct divert_sock *ds;
	long n = 0;

	spin_lock(&dn->socks_lock);
	hlist_for_each_entry(ds, &dn->socks, node) {
		struct sock *sk = &ds->inet.sk;

		if (n++ < cb->args[0] || !divert_diag_wanted(sk, req))
			continue;
		if (divert_diag_fill(sk, skb, cb, req, NLM_F_MULTI,
				     admin) < 0) {
			n--;
			break;
		}
	}
	spin_unlock(&dn->socks_lock);
	cb->args[0] = n;
}

/* The socket with this cookie or, without one, that owns this port. */
static struct sock *divert_diag_find(struct divert_net *dn,
				     const struct inet_diag_req_v2 *req)
{
	bool any = req->id.idiag_cookie[0] == INET_DIAG_NOCOOKIE &&
		   req->id.idiag_cookie[1] == INET_DIAG_NOCOOKIE;
	struct divert_sock *ds;

	hlist_for_each_entry(ds, &dn->socks, node) {
		struct sock *sk = &ds->inet.sk;

		if (any && (!ds->port ||
			    inet_sk(sk)->inet_sport != req->id.idiag_sport))
			continue;
		if (sock_diag_check_cookie(sk, req->id.idiag_cookie) == 0)
			return sk;
	}
	return NULL;
}

static int divert_diag_dump_one(struct netlink_callback *cb,
				const struct inet_diag_req_v2 *req)
{
	struct sk_buff *in = cb->skb;
	struct net *net = sock_net(in->sk);
	struct divert_net *dn = divert_pernet(net);
	struct sk_buff *reply;
	struct sock *sk;
	int err = -ENOENT;

	reply = nlmsg_new(nla_total_size(sizeof(struct inet_diag_msg)) +
			  inet_diag_msg_attrs_size() +
			  nla_total_size(sizeof(struct inet_diag_meminfo)) +
			  nla_total_size(sizeof(struct divert_stats)) + 64,
			  GFP_KERNEL);
	if (!reply)
		return -ENOMEM;

	spin_lock(&dn->socks_lock);
	sk = divert_diag_find(dn, req);
	if (sk)
		err = divert_diag_fill(sk, reply, cb, req, 0,
				       netlink_net_capable(in, CAP_NET_ADMIN));
	spin_unlock(&dn->socks_lock);

	if (err < 0) {
		nlmsg_free(reply);
		return err;
	}
	return nlmsg_unicast(net->diag_nlsk, reply, NETLINK_CB(in).portid);
}

static void divert_diag_info(struct sock *sk, struct inet_diag_msg *msg,
			     void *info)
{
	/* The number it knows is IP's, of which we have none. */
	msg->id.idiag_sport = inet_sk(sk)->inet_sport;
	msg->idiag_rqueue = sk_rmem_alloc_get(sk);
	msg->idiag_wqueue = sk_wmem_alloc_get(sk);
}

static const struct inet_diag_handler divert_diag_handler = {
	INET_DIAG_HANDLER_OWNER
	.dump			= divert_diag_dump,
	.dump_one		= divert_diag_dump_one,
	.idiag_get_info		= divert_diag_info,
	.idiag_type		= IPPROTO_DIVERT,
};

static int __init divert_diag_init(void)
{
	return inet_diag_register(&divert_diag_handler);
}

static void __exit divert_diag_exit(void)
{
	inet_diag_unregister(&divert_diag_handler);
}

module_init(divert_diag_init);
module_exit(divert_diag_exit);

MODULE_DESCRIPTION("Divert sockets in sock_diag");
MODULE_LICENSE("GPL");
MODULE_VERSION(DIVERT_MODULE_VERSION);
/* PF_NETLINK, NETLINK_SOCK_DIAG, AF_INET, IPPROTO_DIVERT */
MODULE_ALIAS("net-pf-16-proto-4-type-2-258");
