// SPDX-License-Identifier: GPL-2.0
/* Socket options: our own level, and the few of IP that act on a write. */

#include <linux/uaccess.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "divert.h"

/* inet6's part, where the kernel has one */
#if IS_ENABLED(CONFIG_IPV6)
#define divert_setsockopt6	ipv6_setsockopt
#define divert_getsockopt6	ipv6_getsockopt
#else
static int divert_setsockopt6(struct sock *sk, int level, int optname,
			      sockptr_t optval, unsigned int optlen)
{
	return -ENOPROTOOPT;
}

static int divert_getsockopt6(struct sock *sk, int level, int optname,
			      char __user *optval, int __user *optlen)
{
	return -ENOPROTOOPT;
}
#endif

/* Only what acts on a written packet; the rest is refused, since handing it to
 * the IP layer would make this a multicast router's or an IP_ROUTER_ALERT
 * socket, which only a real raw socket can be.
 */
static bool divert_ip_option(const struct sock *sk, int level, int optname)
{
	if (level == SOL_IP)
		return optname == IP_OPTIONS || optname == IP_MULTICAST_IF ||
		       optname == IP_MULTICAST_TTL ||
		       optname == IP_MULTICAST_LOOP;

	return level == SOL_IPV6 && sk->sk_family == AF_INET6 &&
	       (optname == IPV6_MULTICAST_IF ||
		optname == IPV6_MULTICAST_HOPS ||
		optname == IPV6_MULTICAST_LOOP);
}

/* Written packets have the TTL they were written with, unless the owner of the
 * socket has asked for one: -1 takes that back.
 */
static void divert_mc_ttl_note(s16 *ttl, sockptr_t optval, unsigned int optlen)
{
	int val = -1;
	u8 byte;

	if (optlen >= sizeof(val)) {
		if (copy_from_sockptr(&val, optval, sizeof(val)))
			return;
	} else if (!copy_from_sockptr(&byte, optval, sizeof(byte))) {
		val = byte;
	}
	WRITE_ONCE(*ttl, val);
}

static int divert_set_ip(struct sock *sk, int level, int optname,
			 sockptr_t optval, unsigned int optlen)
{
	struct divert_sock *ds = divert_sk(sk);
	int err;

	if (level == SOL_IP) {
		err = ip_setsockopt(sk, level, optname, optval, optlen);
		if (!err && optname == IP_MULTICAST_TTL)
			divert_mc_ttl_note(&ds->mc_ttl, optval, optlen);
		return err;
	}

	err = divert_setsockopt6(sk, level, optname, optval, optlen);
	if (!err && optname == IPV6_MULTICAST_HOPS)
		divert_mc_ttl_note(&ds->mc_hops, optval, optlen);
	return err;
}

/* Copies an option's value in, which must have exactly this length. */
static int divert_copy_in(void *val, size_t len, sockptr_t optval,
			  unsigned int optlen)
{
	if (optlen != len)
		return -EINVAL;
	return copy_from_sockptr(val, optval, len) ? -EFAULT : 0;
}

static int divert_set_int(struct divert_sock *ds, int optname,
			  sockptr_t optval, unsigned int optlen)
{
	int max = optname == DIVERT_INPLACE ? DIVERT_INPLACE_BEHIND : 1;
	int val, err;

	err = divert_copy_in(&val, sizeof(val), optval, optlen);
	if (err)
		return err;
	if (val < 0 || val > max)
		return -EINVAL;

	switch (optname) {
	case DIVERT_INFO:
		WRITE_ONCE(ds->info, val);
		return 0;
	case DIVERT_GSO:
		WRITE_ONCE(ds->gso, val);
		return 0;
	case DIVERT_RECORDS:
		WRITE_ONCE(ds->records, val);
		return 0;
	case DIVERT_INPLACE:
		err = val && !ds->kept ? divert_kept_alloc(ds) : 0;
		if (!err)
			WRITE_ONCE(ds->in_place, val);
		return err;
	default:
		/* A port's sockets do not change sides. */
		if (ds->port)
			return -EINVAL;
		ds->tee = val;
		return 0;
	}
}

static bool divert_hold_valid(const struct divert_sock *ds,
			      const struct divert_hold *hold)
{
	return hold->size == sizeof(*hold) &&
	       hold->headers <= DIVERT_MAX_PACKET6 &&
	       hold->packets <= DIVERT_KEPT_MAX &&
	       !(hold->flags & ~DIVERT_HOLD_RULES) &&
	       (!ds->kept || hold->packets == ds->hold.packets);
}

/* Memory is the host's: a container's root has what SO_RCVBUF gives it. */
static bool divert_hold_allowed(const struct divert_sock *ds, u64 bytes)
{
	u64 rcvbuf = READ_ONCE(ds->inet.sk.sk_rcvbuf);

	return bytes <= max(rcvbuf, ds->hold.bytes) || capable(CAP_NET_ADMIN);
}

static int divert_set_hold(struct divert_sock *ds, sockptr_t optval,
			   unsigned int optlen)
{
	struct divert_hold hold, old = ds->hold;
	int err;

	err = divert_copy_in(&hold, sizeof(hold), optval, optlen);
	if (err)
		return err;
	if (!divert_hold_valid(ds, &hold))
		return -EINVAL;
	if (!divert_hold_allowed(ds, hold.bytes))
		return -EPERM;

	ds->hold.packets = hold.packets;
	if (hold.headers && !ds->kept) {
		err = divert_kept_alloc(ds);
		if (err) {
			ds->hold = old;
			return err;
		}
	}
	WRITE_ONCE(ds->hold.flags, hold.flags);
	WRITE_ONCE(ds->hold.bytes, hold.bytes);
	WRITE_ONCE(ds->hold.headers, hold.headers);
	return 0;
}

static bool divert_limits_valid(const struct divert_limits *limits)
{
	return limits->size == sizeof(*limits) && !limits->reserved &&
	       limits->full <= DIVERT_POLICY_PASS &&
	       limits->old <= DIVERT_POLICY_PASS &&
	       limits->close <= DIVERT_POLICY_PASS &&
	       limits->age <= INT_MAX;
}

static int divert_set_limits(struct divert_sock *ds, sockptr_t optval,
			     unsigned int optlen)
{
	struct sk_buff_head *queue = &ds->inet.sk.sk_receive_queue;
	struct divert_limits limits;
	int err;

	err = divert_copy_in(&limits, sizeof(limits), optval, optlen);
	if (err)
		return err;
	if (!divert_limits_valid(&limits))
		return -EINVAL;

	spin_lock_bh(&queue->lock);
	ds->limits = limits;
	WRITE_ONCE(ds->passes, limits.full || limits.old || limits.close);
	/* Packets that are here already grow old as well. */
	if (limits.age)
		mod_delayed_work(system_wq, &ds->age_work, 0);
	spin_unlock_bh(&queue->lock);
	return 0;
}

static int divert_set_own(struct sock *sk, int optname, sockptr_t optval,
			  unsigned int optlen)
{
	struct divert_sock *ds = divert_sk(sk);
	int err;

	lock_sock(sk);
	switch (optname) {
	case DIVERT_INFO:
	case DIVERT_GSO:
	case DIVERT_TEE:
	case DIVERT_RECORDS:
	case DIVERT_INPLACE:
		err = divert_set_int(ds, optname, optval, optlen);
		break;
	case DIVERT_HOLD:
		err = divert_set_hold(ds, optval, optlen);
		break;
	case DIVERT_LIMITS:
		err = divert_set_limits(ds, optval, optlen);
		break;
	default:
		err = -ENOPROTOOPT;
	}
	release_sock(sk);
	return err;
}

int divert_setsockopt(struct socket *sock, int level, int optname,
		      sockptr_t optval, unsigned int optlen)
{
	struct sock *sk = sock->sk;

	if (level == SOL_DIVERT)
		return divert_set_own(sk, optname, optval, optlen);
	if (divert_ip_option(sk, level, optname))
		return divert_set_ip(sk, level, optname, optval, optlen);
	return -ENOPROTOOPT;
}

/* Copies an option's value out, which must have room for exactly this. */
static int divert_copy_out(char __user *optval, int __user *optlen,
			   const void *val, int size)
{
	int len;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len != size)
		return -EINVAL;
	return copy_to_user(optval, val, size) ? -EFAULT : 0;
}

static int divert_get_int(char __user *optval, int __user *optlen, int val)
{
	return divert_copy_out(optval, optlen, &val, sizeof(val));
}

/* May grow: a reader that knows less of it gets what it knows. */
static int divert_get_stats(const struct divert_sock *ds, char __user *optval,
			    int __user *optlen)
{
	struct divert_stats stats;
	int len;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < (int)offsetofend(struct divert_stats, reserved))
		return -EINVAL;

	divert_stats_fill(ds, &stats);
	len = min_t(int, len, sizeof(stats));
	stats.size = len;
	if (put_user(len, optlen))
		return -EFAULT;
	return copy_to_user(optval, &stats, len) ? -EFAULT : 0;
}

static int divert_get_limits(struct divert_sock *ds, char __user *optval,
			     int __user *optlen)
{
	struct divert_limits limits;

	spin_lock_bh(&ds->inet.sk.sk_receive_queue.lock);
	limits = ds->limits;
	spin_unlock_bh(&ds->inet.sk.sk_receive_queue.lock);
	limits.size = sizeof(limits);
	return divert_copy_out(optval, optlen, &limits, sizeof(limits));
}

static int divert_get_hold(struct sock *sk, char __user *optval,
			   int __user *optlen)
{
	struct divert_hold hold;

	lock_sock(sk);
	hold = divert_sk(sk)->hold;
	release_sock(sk);
	hold.size = sizeof(hold);
	return divert_copy_out(optval, optlen, &hold, sizeof(hold));
}

static int divert_get_own(struct sock *sk, int optname, char __user *optval,
			  int __user *optlen)
{
	struct divert_sock *ds = divert_sk(sk);

	switch (optname) {
	case DIVERT_VERSION:
		return divert_get_int(optval, optlen, DIVERT_ABI_VERSION);
	case DIVERT_INFO:
		return divert_get_int(optval, optlen, READ_ONCE(ds->info));
	case DIVERT_GSO:
		return divert_get_int(optval, optlen, READ_ONCE(ds->gso));
	case DIVERT_TEE:
		return divert_get_int(optval, optlen, READ_ONCE(ds->tee));
	case DIVERT_RECORDS:
		return divert_get_int(optval, optlen, READ_ONCE(ds->records));
	case DIVERT_INPLACE:
		return divert_get_int(optval, optlen, READ_ONCE(ds->in_place));
	case DIVERT_HOLD:
		return divert_get_hold(sk, optval, optlen);
	case DIVERT_LIMITS:
		return divert_get_limits(ds, optval, optlen);
	case DIVERT_STATS:
		return divert_get_stats(ds, optval, optlen);
	default:
		return -ENOPROTOOPT;
	}
}

int divert_getsockopt(struct socket *sock, int level, int optname,
		      char __user *optval, int __user *optlen)
{
	struct sock *sk = sock->sk;

	if (level == SOL_DIVERT)
		return divert_get_own(sk, optname, optval, optlen);
	if (level == SOL_IP && optname == IP_HDRINCL)
		return divert_get_int(optval, optlen, 1);
	if (!divert_ip_option(sk, level, optname))
		return -ENOPROTOOPT;

	if (level == SOL_IP)
		return ip_getsockopt(sk, level, optname, optval, optlen);
	return divert_getsockopt6(sk, level, optname, optval, optlen);
}
