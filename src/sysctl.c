// SPDX-License-Identifier: GPL-2.0
/*
 * net.divert.*, in each network namespace.
 *
 * A setting that cannot work is refused with EINVAL and changes nothing.
 */

#include <linux/log2.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>

#include "divert.h"

#define DIVERT_RCVBUF_DEFAULT	(4 * 1024 * 1024)
#define DIVERT_RCVBUF_MIN	(128 * 1024)
#define DIVERT_RCVBUF_MAX	(1024 * 1024 * 1024)

static const char * const divert_no_listener_names[] = {
	[DIVERT_NO_LISTENER_AUTO]	= "auto",
	[DIVERT_NO_LISTENER_DROP]	= "drop",
	[DIVERT_NO_LISTENER_ACCEPT]	= "accept",
};

void divert_conf_init(struct divert_conf *conf)
{
	*conf = (struct divert_conf){
		.port_mask	= 0xffff0000,
		.cookie_mask	= 0x0000ffff,
		.port_range	= { 1, U16_MAX },
		.no_listener	= DIVERT_NO_LISTENER_AUTO,
		.defrag		= 1,
		.rcvbuf		= DIVERT_RCVBUF_DEFAULT,
	};
}

/* One run of ones, at least @min and at most 16 of them. */
static bool divert_mask_valid(u32 mask, u32 min)
{
	u32 n = hweight32(mask);

	return n >= min && n <= 16 &&
	       (!mask || mask >> __ffs(mask) == GENMASK(n - 1, 0));
}

static bool divert_conf_valid(const struct divert_conf *conf)
{
	/* A port field needs two bits: none and all set both have a meaning of
	 * their own.
	 */
	return divert_mask_valid(conf->port_mask, 2) &&
	       divert_mask_valid(conf->cookie_mask, 1) &&
	       divert_mask_valid(conf->tee_mask, 0) &&
	       !(conf->port_mask & conf->cookie_mask) &&
	       !(conf->port_mask & conf->tee_mask) &&
	       !(conf->cookie_mask & conf->tee_mask) &&
	       conf->port_base < U16_MAX &&
	       conf->port_range[0] >= 1 &&
	       conf->port_range[0] <= conf->port_range[1] &&
	       conf->port_range[1] <= U16_MAX;
}

static void divert_conf_publish(struct divert_conf *conf,
				const struct divert_conf *new)
{
	WRITE_ONCE(conf->port_mask, new->port_mask);
	WRITE_ONCE(conf->cookie_mask, new->cookie_mask);
	WRITE_ONCE(conf->tee_mask, new->tee_mask);
	WRITE_ONCE(conf->port_base, new->port_base);
	WRITE_ONCE(conf->port_range[0], new->port_range[0]);
	WRITE_ONCE(conf->port_range[1], new->port_range[1]);
}

/* The setting that @table stands for, in @conf. */
static u32 *divert_conf_member(const struct divert_net *dn,
			       const struct ctl_table *table,
			       struct divert_conf *conf)
{
	return (void *)conf + (table->data - (void *)&dn->conf);
}

/* Marks are written as people write them in nft: 0x… in and out. */
static int divert_sysctl_mask(sysctl_table_t *table, int write, void *buffer,
			      size_t *lenp, loff_t *ppos)
{
	struct divert_net *dn = table->extra1;
	struct divert_conf new;
	struct ctl_table text;
	char buf[16];
	u32 *member;
	int err;

	mutex_lock(&dn->lock);
	new = dn->conf;
	member = divert_conf_member(dn, table, &new);

	scnprintf(buf, sizeof(buf), "0x%08x", *member);
	text = (struct ctl_table){ .data = buf, .maxlen = sizeof(buf) };
	err = proc_dostring(&text, write, buffer, lenp, ppos);
	if (err || !write)
		goto out;

	if (kstrtou32(strim(buf), 0, member) || !divert_conf_valid(&new))
		err = -EINVAL;
	else
		divert_conf_publish(&dn->conf, &new);
out:
	mutex_unlock(&dn->lock);
	return err;
}

/* port_base and port_range */
static int divert_sysctl_ports(sysctl_table_t *table, int write, void *buffer,
			       size_t *lenp, loff_t *ppos)
{
	struct divert_net *dn = table->extra1;
	struct divert_conf new;
	struct ctl_table copy;
	int err;

	mutex_lock(&dn->lock);
	new = dn->conf;
	copy = *table;
	copy.data = divert_conf_member(dn, table, &new);
	/* Negative ones are too large, and refused for that. */
	err = proc_dointvec(&copy, write, buffer, lenp, ppos);
	if (!err && write) {
		if (divert_conf_valid(&new))
			divert_conf_publish(&dn->conf, &new);
		else
			err = -EINVAL;
	}
	mutex_unlock(&dn->lock);
	return err;
}

/* Writing any policy says that divert is used here: the hooks come. */
static int divert_sysctl_no_listener(sysctl_table_t *table, int write,
				     void *buffer, size_t *lenp, loff_t *ppos)
{
	struct divert_net *dn = table->extra1;
	struct ctl_table text;
	char buf[16];
	int err, policy;

	mutex_lock(&dn->lock);
	strscpy(buf, divert_no_listener_names[dn->conf.no_listener],
		sizeof(buf));
	text = (struct ctl_table){ .data = buf, .maxlen = sizeof(buf) };
	err = proc_dostring(&text, write, buffer, lenp, ppos);
	if (err || !write)
		goto out;

	policy = sysfs_match_string(divert_no_listener_names, strim(buf));
	if (policy < 0) {
		err = -EINVAL;
		goto out;
	}

	err = divert_hooks_get(dn);
	if (!err)
		WRITE_ONCE(dn->conf.no_listener, policy);
out:
	mutex_unlock(&dn->lock);
	return err;
}

static int divert_sysctl_defrag(sysctl_table_t *table, int write, void *buffer,
				size_t *lenp, loff_t *ppos)
{
	struct divert_net *dn = table->extra1;
	struct ctl_table copy;
	int old, err;

	mutex_lock(&dn->lock);
	old = dn->conf.defrag;
	copy = *table;
	copy.extra1 = SYSCTL_ZERO;
	copy.extra2 = SYSCTL_ONE;
	err = proc_dointvec_minmax(&copy, write, buffer, lenp, ppos);
	if (!err && write) {
		err = divert_defrag_update(dn);
		if (err)
			dn->conf.defrag = old;
	}
	mutex_unlock(&dn->lock);
	return err;
}

static int divert_in_place_max = DIVERT_INPLACE_BEHIND;

static int divert_sysctl_in_place(sysctl_table_t *table, int write,
				  void *buffer, size_t *lenp, loff_t *ppos)
{
	struct ctl_table copy = *table;

	copy.extra1 = SYSCTL_ZERO;
	copy.extra2 = &divert_in_place_max;
	return proc_dointvec_minmax(&copy, write, buffer, lenp, ppos);
}

static int divert_rcvbuf_min = DIVERT_RCVBUF_MIN;
static int divert_rcvbuf_max = DIVERT_RCVBUF_MAX;

/* The data pointers are those of a namespace's struct divert_conf at address
 * zero; divert_sysctl_init() moves them.
 */
#define DIVERT_CONF(member)	((void *)offsetof(struct divert_conf, member))

static const struct ctl_table divert_sysctls[] = {
	{
		.procname	= "port_mask",
		.data		= DIVERT_CONF(port_mask),
		.maxlen		= sizeof(u32),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_mask,
	},
	{
		.procname	= "cookie_mask",
		.data		= DIVERT_CONF(cookie_mask),
		.maxlen		= sizeof(u32),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_mask,
	},
	{
		.procname	= "tee_mask",
		.data		= DIVERT_CONF(tee_mask),
		.maxlen		= sizeof(u32),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_mask,
	},
	{
		.procname	= "port_base",
		.data		= DIVERT_CONF(port_base),
		.maxlen		= sizeof(u32),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_ports,
	},
	{
		.procname	= "port_range",
		.data		= DIVERT_CONF(port_range),
		.maxlen		= sizeof(u32[2]),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_ports,
	},
	{
		.procname	= "no_listener",
		.data		= DIVERT_CONF(no_listener),
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_no_listener,
	},
	{
		.procname	= "defrag",
		.data		= DIVERT_CONF(defrag),
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_defrag,
	},
	{
		.procname	= "rcvbuf",
		.data		= DIVERT_CONF(rcvbuf),
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= proc_dointvec_minmax,
	},
	{
		.procname	= "in_place",
		.data		= DIVERT_CONF(in_place),
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= divert_sysctl_in_place,
	},
	{ }	/* older kernels look for it */
};

#define DIVERT_SYSCTLS		(ARRAY_SIZE(divert_sysctls) - 1)

int divert_sysctl_init(struct divert_net *dn)
{
	struct ctl_table *table;
	size_t i;

	table = kmemdup(divert_sysctls, sizeof(divert_sysctls), GFP_KERNEL);
	if (!table)
		return -ENOMEM;

	for (i = 0; i < DIVERT_SYSCTLS; i++) {
		bool plain = table[i].proc_handler == proc_dointvec_minmax;

		table[i].data += (unsigned long)&dn->conf;
		table[i].extra1 = plain ? (void *)&divert_rcvbuf_min : dn;
		table[i].extra2 = plain ? (void *)&divert_rcvbuf_max : NULL;
		/* Memory is the host's: a container's root has rmem_max. */
		if (plain && dn->net->user_ns != &init_user_ns)
			table[i].mode = 0444;
	}

	dn->sysctl = register_net_sysctl_sz(dn->net, "net/divert", table,
					    DIVERT_SYSCTLS);
	if (!dn->sysctl) {
		kfree(table);
		return -ENOMEM;
	}
	dn->sysctl_table = table;
	return 0;
}

void divert_sysctl_exit(struct divert_net *dn)
{
	unregister_net_sysctl_table(dn->sysctl);
	kfree(dn->sysctl_table);
}
