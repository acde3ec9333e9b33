// SPDX-License-Identifier: GPL-2.0
/* Start and stop of the module and of each network namespace, in order. */

#include <linux/module.h>
#include <linux/random.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>

#include "divert.h"

unsigned int divert_net_id;

struct divert_net *divert_pernet(const struct net *net)
{
	return net_generic(net, divert_net_id);
}
EXPORT_SYMBOL_GPL(divert_pernet);

static int __net_init divert_net_init(struct net *net)
{
	struct divert_net *dn = divert_pernet(net);
	int err;

	dn->net = net;
	divert_conf_init(&dn->conf);
	/* Memory is the host's, who says how much of it a socket may have. */
	if (net->user_ns != &init_user_ns)
		dn->conf.rcvbuf =
			READ_ONCE(divert_pernet(&init_net)->conf.rcvbuf);
	xa_init_flags(&dn->tags, XA_FLAGS_ACCOUNT);
	dn->secret = get_random_u32();
	mutex_init(&dn->lock);
	spin_lock_init(&dn->socks_lock);
	INIT_HLIST_HEAD(&dn->socks);

	dn->stats = alloc_percpu(struct divert_counters);
	if (!dn->stats)
		return -ENOMEM;

	err = divert_sysctl_init(dn);
	if (err)
		goto err_stats;

	err = divert_proc_init(dn);
	if (err)
		goto err_sysctl;

	return 0;

err_sysctl:
	divert_sysctl_exit(dn);
err_stats:
	free_percpu(dn->stats);
	return err;
}

static void __net_exit divert_net_pre_exit(struct net *net)
{
	struct divert_net *dn = divert_pernet(net);

	/* First: writing to a setting may bring the hooks back. */
	divert_sysctl_exit(dn);
	divert_hooks_exit(dn);
	divert_tags_exit(dn);
}

static void __net_exit divert_net_exit(struct net *net)
{
	struct divert_net *dn = divert_pernet(net);

	divert_proc_exit(dn);
	divert_ports_exit(dn);
	free_percpu(dn->stats);
}

static struct pernet_operations divert_net_ops = {
	.init		= divert_net_init,
	.pre_exit	= divert_net_pre_exit,
	.exit		= divert_net_exit,
	.id		= &divert_net_id,
	.size		= sizeof(struct divert_net),
};

static int __init divert_init(void)
{
	int err;

	BUILD_BUG_ON(sizeof(struct divert_cb) >
		     sizeof_field(struct sk_buff, cb) -
		     sizeof(struct sock_skb_cb));
	BUILD_BUG_ON(sizeof(struct divert_info) != DIVERT_INFO_SIZE_1);
	BUILD_BUG_ON(offsetofend(struct divert_stats, estale) !=
		     offsetof(struct divert_stats, diverted) +
		     DIVERT_STAT_SOCKET_MAX * sizeof(u64));

	err = register_pernet_subsys(&divert_net_ops);
	if (err)
		return err;

	err = divert_hold_init();
	if (err)
		goto err_pernet;

	err = divert_socket_init();
	if (err)
		goto err_hold;

	return 0;

err_hold:
	divert_hold_exit();
err_pernet:
	unregister_pernet_subsys(&divert_net_ops);
	return err;
}

static void __exit divert_exit(void)
{
	divert_socket_exit();
	divert_hold_exit();
	unregister_pernet_subsys(&divert_net_ops);
	divert_info_exit();
	divert_frag_exit();
}

module_init(divert_init);
module_exit(divert_exit);

MODULE_DESCRIPTION("Divert sockets: hand live IP packets to a program and take them back");
MODULE_LICENSE("GPL");
MODULE_VERSION(DIVERT_MODULE_VERSION);
