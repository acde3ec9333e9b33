// SPDX-License-Identifier: GPL-2.0
/*
 * The socket: socket(AF_INET or AF_INET6, SOCK_RAW, IPPROTO_DIVERT) and its
 * calls.
 *
 * References
 * ----------
 * A socket holds its namespace and, through struct proto, the module. A hook
 * uses a socket that it found in divert_net.ports without a reference, under
 * RCU: SOCK_RCU_FREE. A packet that it would append to a socket that is being
 * closed meets divert_sock.closing instead.
 *
 * A written packet on its way out holds the socket through its write memory
 * until the device has it: only then can the module be removed.
 *
 * Calls go to our own functions, not to inet's: those bind addresses, connect,
 * and pick TCP-like ports for every socket whose inet_num is set. Ours stays 0.
 */

#include <linux/compat.h>
#include <linux/module.h>
#include <linux/random.h>
#include <net/inet_common.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/protocol.h>
#include <net/transp_v6.h>

#include <asm/ioctls.h>

#include "divert.h"

static int divert_sock_hash(struct sock *sk)
{
	sock_prot_inuse_add(sock_net(sk), sk->sk_prot, 1);
	return 0;
}

static void divert_sock_unhash(struct sock *sk)
{
	sock_prot_inuse_add(sock_net(sk), sk->sk_prot, -1);
}

static void divert_sock_destruct(struct sock *sk)
{
	WARN_ON_ONCE(!skb_queue_empty(&sk->sk_receive_queue));
	kvfree(divert_sk(sk)->kept);
	divert_routes_exit(divert_sk(sk));
	divert_sk(sk)->destruct(sk);
}

static int divert_net_open(struct divert_net *dn)
{
	int err;

	mutex_lock(&dn->lock);
	err = divert_hooks_get(dn);
	if (!err)
		WRITE_ONCE(dn->opened, true);
	mutex_unlock(&dn->lock);
	return err;
}

static int divert_sock_init(struct sock *sk)
{
	struct divert_net *dn = divert_pernet(sock_net(sk));
	struct divert_sock *ds = divert_sk(sk);
	int err;

	ds->dn = dn;
	/* inet has set these to the protocol number. */
	ds->inet.inet_num = 0;
	ds->inet.inet_sport = 0;
	ds->id = get_random_u32();
	ds->mc_ttl = -1;
	ds->mc_hops = -1;
	spin_lock_init(&ds->routes_lock);
	INIT_HLIST_NODE(&ds->node);
	INIT_DELAYED_WORK(&ds->age_work, divert_queue_age);
	INIT_DELAYED_WORK(&ds->batch_work, divert_batch_late);
	ds->in_place = READ_ONCE(dn->conf.in_place);

	if (!ns_capable(sock_net(sk)->user_ns, CAP_NET_ADMIN))
		return -EPERM;

	err = divert_net_open(dn);
	if (err)
		return err;

	ds->destruct = sk->sk_destruct;
	sk->sk_destruct = divert_sock_destruct;
	sk->sk_rcvbuf = READ_ONCE(dn->conf.rcvbuf);
	sk->sk_sndbuf = READ_ONCE(dn->conf.rcvbuf);
	sock_set_flag(sk, SOCK_RCU_FREE);

	spin_lock(&dn->socks_lock);
	hlist_add_head_rcu(&ds->node, &dn->socks);
	WRITE_ONCE(dn->sockets, dn->sockets + 1);
	spin_unlock(&dn->socks_lock);
	return 0;
}

static void divert_sock_destroy(struct sock *sk)
{
	struct divert_sock *ds = divert_sk(sk);
	struct divert_net *dn = ds->dn;

	divert_batch_close(dn, sk);
	/* First: what was queued goes before what the port lets pass. */
	divert_queue_close(dn, sk);

	lock_sock(sk);
	divert_port_release(dn, sk);
	release_sock(sk);

	spin_lock(&dn->socks_lock);
	if (!hlist_unhashed(&ds->node)) {
		hlist_del_init_rcu(&ds->node);
		WRITE_ONCE(dn->sockets, dn->sockets - 1);
	}
	spin_unlock(&dn->socks_lock);
}

static void divert_sock_close(struct sock *sk, long timeout)
{
	sk_common_release(sk);
}

static int divert_bind(struct socket *sock, struct sockaddr_unsized *addr,
		       int addr_len)
{
	/* The port is at the same place in both families. */
	struct sockaddr_in *sin = (struct sockaddr_in *)addr;
	struct sock *sk = sock->sk;
	int err;

	if (addr_len < divert_address_min(sk->sk_family))
		return -EINVAL;
	if (sin->sin_family != sk->sk_family)
		return -EAFNOSUPPORT;

	lock_sock(sk);
	err = divert_port_bind(divert_sk(sk)->dn, sk, ntohs(sin->sin_port));
	release_sock(sk);
	return err;
}

static int divert_shutdown(struct socket *sock, int how)
{
	struct sock *sk = sock->sk;

	if (how < SHUT_RD || how > SHUT_RDWR)
		return -EINVAL;

	lock_sock(sk);
	/* SHUT_RD, SHUT_WR, SHUT_RDWR are 0, 1, 2: one less than the flags. */
	WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | (how + 1));
	sk->sk_state_change(sk);
	release_sock(sk);
	return 0;
}

static int divert_send_one(struct divert_net *dn, struct sock *sk,
			   struct msghdr *msg, size_t len)
{
	struct divert_dest to = { };
	int err = 0;

	if (msg->msg_namelen)
		err = divert_address_parse(msg->msg_name, msg->msg_namelen,
					   sk->sk_family, &to);
	if (!err && msg->msg_controllen)
		err = divert_info_parse(msg, &to) ?:
		      divert_offload_parse(msg, &to.offload);
	return err ?: divert_write(dn, sk, msg, len, &to);
}

static int divert_may_send(const struct sock *sk, const struct msghdr *msg)
{
	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;
	return READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN ? -EPIPE : 0;
}

static int divert_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct divert_net *dn = divert_sk(sock->sk)->dn;
	struct sock *sk = sock->sk;
	int err = divert_may_send(sk, msg);

	if (!err && READ_ONCE(divert_sk(sk)->records))
		return divert_record_write(dn, sk, msg, len);
	if (!err)
		err = divert_send_one(dn, sk, msg, len);
	/* Not every last message has a packet to end the batch with. */
	if (err || !(msg->msg_flags & MSG_BATCH))
		divert_batch_end(dn, sk);
	if (err) {
		divert_count(dn, sk, divert_stat_errno(err));
		return err;
	}
	return len;
}

/* A held packet has its own use for its time. */
static void divert_recv_cmsgs(struct sock *sk, struct sk_buff *skb,
			      struct msghdr *msg)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;
	ktime_t tstamp = skb->tstamp;

	if (extra && extra->held)
		skb->tstamp = extra->tstamp;
	sock_recv_cmsgs(msg, sk, skb);
	if (extra && extra->held)
		skb->tstamp = tstamp;

	divert_info_read(msg, sk, skb);
	divert_offload_read(msg, sk, skb);
}

/* The address, with the ticket of a kept packet in it. Without a ticket, only
 * one that is named otherwise can be kept.
 */
static bool divert_recv_address(struct sock *sk, struct sk_buff *skb,
				struct msghdr *msg)
{
	const struct divert_extra *extra = DIVERT_CB(skb)->extra;

	if (!msg->msg_name)
		return extra && extra->keep == DIVERT_KEEP_HEADERS;

	msg->msg_namelen = divert_address_read(skb, sk->sk_family,
					       msg->msg_name);
	return extra && extra->id &&
	       divert_address_ticket(skb, sk->sk_family, msg->msg_name);
}

/* Return: bytes copied; @keep: the packet can have a verdict. */
static int divert_recv_skb(struct sock *sk, const struct divert_read *read,
			   struct sk_buff *skb, struct msghdr *msg, size_t len,
			   bool *keep)
{
	size_t wanted = divert_read_len(read, skb);
	size_t copied = min_t(size_t, len, wanted);
	int err;

	if (copied <= skb_headlen(skb))
		err = copy_to_iter(skb->data, copied, &msg->msg_iter) ==
		      copied ? 0 : -EFAULT;
	else
		err = skb_copy_datagram_msg(skb, 0, msg, copied);
	if (err)
		return err;

	if (copied < wanted)
		msg->msg_flags |= MSG_TRUNC;
	divert_recv_cmsgs(sk, skb, msg);
	*keep = divert_recv_address(sk, skb, msg);
	return copied;
}

static int divert_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
			  int flags)
{
	struct divert_net *dn = divert_sk(sock->sk)->dn;
	struct sock *sk = sock->sk;
	struct divert_read read;
	struct sk_buff *skb;
	bool keep = false;
	int ret;

	if (flags & MSG_OOB)
		return -EOPNOTSUPP;
	/* Errors are told to the write they belong to: this queue is empty. */
	if (flags & MSG_ERRQUEUE)
		return -EAGAIN;
	if (READ_ONCE(divert_sk(sk)->records))
		return divert_record_read(dn, sk, msg, len, flags);

	divert_read_init(&read, 1, 0);
	ret = divert_queue_read(sk, flags, &read);
	if (ret <= 0)
		return ret;

	skb = __skb_dequeue(&read.list);
	ret = divert_recv_skb(sk, &read, skb, msg, len, &keep);
	if (ret >= 0 && flags & MSG_TRUNC)
		ret = skb->len;
	if (!(flags & MSG_PEEK))
		divert_count(dn, sk, DIVERT_STAT_READ);
	divert_read_done(sk, &read, skb, keep && ret >= 0);
	divert_read_end(dn, sk, &read);
	return ret;
}

#if IS_ENABLED(CONFIG_IPV6)
#define divert_ioctl6		inet6_ioctl
#else
static int divert_ioctl6(struct socket *sock, unsigned int cmd,
			 unsigned long arg)
{
	return -ENOIOCTLCMD;
}
#endif

static int divert_next_len(struct sock *sk)
{
	struct sk_buff *skb;
	int len;

	spin_lock_bh(&sk->sk_receive_queue.lock);
	skb = skb_peek(&sk->sk_receive_queue);
	len = skb ? skb->len : 0;
	spin_unlock_bh(&sk->sk_receive_queue.lock);
	return len;
}

static int divert_ioctl(struct socket *sock, unsigned int cmd,
			unsigned long arg)
{
	switch (cmd) {
	case SIOCINQ:
		return put_user(divert_next_len(sock->sk), (int __user *)arg);
	case SIOCOUTQ:
		return put_user(sk_wmem_alloc_get(sock->sk),
				(int __user *)arg);
	default:
		return sock->sk->sk_family == AF_INET6 ?
		       divert_ioctl6(sock, cmd, arg) :
		       inet_ioctl(sock, cmd, arg);
	}
}

#ifdef CONFIG_COMPAT
static int divert_compat_ioctl(struct socket *sock, unsigned int cmd,
			       unsigned long arg)
{
	switch (cmd) {
	case SIOCINQ:
	case SIOCOUTQ:
		return divert_ioctl(sock, cmd,
				    (unsigned long)compat_ptr(arg));
	default:
		return -ENOIOCTLCMD;
	}
}
#endif

static struct proto divert_prot = {
	.name		= "DIVERT",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct divert_sock),
	.no_autobind	= true,
	.init		= divert_sock_init,
	.destroy	= divert_sock_destroy,
	.close		= divert_sock_close,
	.hash		= divert_sock_hash,
	.unhash		= divert_sock_unhash,
};

static const struct proto_ops divert_ops = {
	.family		= PF_INET,
	.owner		= THIS_MODULE,
	.release	= inet_release,
	.bind		= divert_bind,
	.connect	= sock_no_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= inet_getname,
	.poll		= datagram_poll,
	.ioctl		= divert_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= divert_compat_ioctl,
#endif
	.gettstamp	= sock_gettstamp,
	.listen		= sock_no_listen,
	.shutdown	= divert_shutdown,
	.setsockopt	= divert_setsockopt,
	.getsockopt	= divert_getsockopt,
	.sendmsg	= divert_sendmsg,
	.recvmsg	= divert_recvmsg,
	.mmap		= sock_no_mmap,
};

static struct inet_protosw divert_protosw = {
	.type		= SOCK_RAW,
	.protocol	= IPPROTO_DIVERT,
	.prot		= &divert_prot,
	.ops		= &divert_ops,
};

#if IS_ENABLED(CONFIG_IPV6)
/* inet6 wants its part of the socket last. */
struct divert6_sock {
	struct divert_sock	divert;
	struct ipv6_pinfo	inet6;
};

static struct proto divert6_prot = {
	.name		= "DIVERTv6",
	.owner		= THIS_MODULE,
	.obj_size	= sizeof(struct divert6_sock),
	PROTO_IPV6_PINFO(struct divert6_sock, inet6)
	.no_autobind	= true,
	.init		= divert_sock_init,
	.destroy	= divert_sock_destroy,
	.close		= divert_sock_close,
	.hash		= divert_sock_hash,
	.unhash		= divert_sock_unhash,
};

static const struct proto_ops divert6_ops = {
	.family		= PF_INET6,
	.owner		= THIS_MODULE,
	.release	= inet6_release,
	.bind		= divert_bind,
	.connect	= sock_no_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= sock_no_accept,
	.getname	= inet6_getname,
	.poll		= datagram_poll,
	.ioctl		= divert_ioctl,
#ifdef CONFIG_COMPAT
	.compat_ioctl	= divert_compat_ioctl,
#endif
	.gettstamp	= sock_gettstamp,
	.listen		= sock_no_listen,
	.shutdown	= divert_shutdown,
	.setsockopt	= divert_setsockopt,
	.getsockopt	= divert_getsockopt,
	.sendmsg	= divert_sendmsg,
	.recvmsg	= divert_recvmsg,
	.mmap		= sock_no_mmap,
};

static struct inet_protosw divert6_protosw = {
	.type		= SOCK_RAW,
	.protocol	= IPPROTO_DIVERT,
	.prot		= &divert6_prot,
	.ops		= &divert6_ops,
};

static int divert_socket6_init(void)
{
	int err;

	if (!ipv6_mod_enabled())
		return 0;

	err = proto_register(&divert6_prot, 1);
	if (err)
		return err;

	err = inet6_register_protosw(&divert6_protosw);
	if (err)
		proto_unregister(&divert6_prot);
	return err;
}

static void divert_socket6_exit(void)
{
	if (!ipv6_mod_enabled())
		return;

	inet6_unregister_protosw(&divert6_protosw);
	proto_unregister(&divert6_prot);
}

bool divert_is_socket(const struct sock *sk)
{
	return sk->sk_prot == &divert_prot || sk->sk_prot == &divert6_prot;
}
#else
static int divert_socket6_init(void)
{
	return 0;
}

static void divert_socket6_exit(void)
{
}

bool divert_is_socket(const struct sock *sk)
{
	return sk->sk_prot == &divert_prot;
}
#endif

int divert_socket_init(void)
{
	int err;

	err = proto_register(&divert_prot, 1);
	if (err)
		return err;

	err = divert_socket6_init();
	if (err)
		goto err_proto;

	inet_register_protosw(&divert_protosw);
	return 0;

err_proto:
	proto_unregister(&divert_prot);
	return err;
}

void divert_socket_exit(void)
{
	inet_unregister_protosw(&divert_protosw);
	divert_socket6_exit();
	proto_unregister(&divert_prot);
}
