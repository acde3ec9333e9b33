// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/net/divert: the sockets, one a line, in the columns of /proc/net/raw.
 * /proc/net/stat/divert: the counters, one line a CPU, as lnstat(8) reads them.
 */

#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

#include "divert.h"

static void *divert_sockets_start(struct seq_file *seq, loff_t *pos)
	__acquires(RCU)
{
	struct divert_net *dn = divert_pernet(seq_file_net(seq));

	rcu_read_lock();
	return seq_hlist_start_head_rcu(&dn->socks, *pos);
}

static void *divert_sockets_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct divert_net *dn = divert_pernet(seq_file_net(seq));

	return seq_hlist_next_rcu(v, &dn->socks, pos);
}

static void divert_sockets_stop(struct seq_file *seq, void *v)
	__releases(RCU)
{
	rcu_read_unlock();
}

static void divert_socket_show(struct seq_file *seq, struct sock *sk)
{
	seq_printf(seq,
		   "%4u: %08X:%04X %08X:%04X %02X %08X:%08X %02X:%08lX %08X %5u %8d %llu %d %pK %u\n",
		   READ_ONCE(divert_sk(sk)->port), 0,
		   READ_ONCE(divert_sk(sk)->port), 0, 0, sk->sk_state,
		   sk_wmem_alloc_get(sk), sk_rmem_alloc_get(sk), 0, 0L, 0,
		   from_kuid_munged(seq_user_ns(seq), sk_uid(sk)), 0,
		   (unsigned long long)sock_i_ino(sk),
		   refcount_read(&sk->sk_refcnt), sk, sk_drops_read(sk));
}

static int divert_sockets_show(struct seq_file *seq, void *v)
{
	if (v == SEQ_START_TOKEN)
		seq_puts(seq, "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n");
	else
		divert_socket_show(seq, (struct sock *)
				   hlist_entry(v, struct divert_sock, node));
	return 0;
}

static const struct seq_operations divert_sockets_ops = {
	.start	= divert_sockets_start,
	.next	= divert_sockets_next,
	.stop	= divert_sockets_stop,
	.show	= divert_sockets_show,
};

static int divert_stats_show(struct seq_file *seq, void *v)
{
	struct divert_net *dn = divert_pernet(seq_file_single_net(seq));
	int cpu, i;

	/* lnstat takes the first column for a gauge, the same on each line,
	 * and adds up the others.
	 */
	seq_puts(seq, "sockets");
	for (i = 0; i < DIVERT_STAT_MAX; i++)
		seq_printf(seq, " %s", divert_stat_names[i]);
	seq_putc(seq, '\n');

	for_each_possible_cpu(cpu) {
		seq_printf(seq, "%08x", READ_ONCE(dn->sockets));
		for (i = 0; i < DIVERT_STAT_MAX; i++)
			seq_printf(seq, " %08lx",
				   per_cpu_ptr(dn->stats, cpu)->n[i]);
		seq_putc(seq, '\n');
	}
	return 0;
}

int divert_proc_init(struct divert_net *dn)
{
	struct net *net = dn->net;

	if (!proc_create_net("divert", 0444, net->proc_net,
			     &divert_sockets_ops,
			     sizeof(struct seq_net_private)))
		return -ENOMEM;

	if (!proc_create_net_single("divert", 0444, net->proc_net_stat,
				    divert_stats_show, NULL))
		goto err_sockets;

	return 0;

err_sockets:
	remove_proc_entry("divert", net->proc_net);
	return -ENOMEM;
}

void divert_proc_exit(struct divert_net *dn)
{
	remove_proc_entry("divert", dn->net->proc_net_stat);
	remove_proc_entry("divert", dn->net->proc_net);
}
