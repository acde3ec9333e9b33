// SPDX-License-Identifier: GPL-2.0
/* divertctl doctor: what is wrong, and what to do about it, one line each. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor.h"

static bool problems;

void found(enum level level, const char *subject, const char *format, ...)
{
	static const char * const names[] = {
		[GOOD] = "ok", [NOTE] = "note", [WARNING] = "warning",
		[PROBLEM] = "problem",
	};
	va_list args;

	printf("%-8s %s: ", names[level], subject);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	if (level == PROBLEM)
		problems = true;
}

bool listens(const struct diagnosis *d, unsigned int port)
{
	for (size_t i = 0; port && i < d->sockets.n; i++)
		if (d->sockets.at[i].port == port)
			return true;
	return false;
}

unsigned int mark_port(const struct conf *conf, uint32_t mark)
{
	uint32_t field = (mark & conf->port_mask) /
			 field_put(conf->port_mask, 1);
	uint32_t port = field + conf->port_base;

	if (!field || field == field_max(conf->port_mask) ||
	    port < conf->port_range[0] || port > conf->port_range[1])
		return 0;
	return port;
}

/* Files */

static bool read_file(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t len;

	if (!file)
		return false;
	len = fread(text, 1, size - 1, file);
	fclose(file);
	text[len] = 0;
	text[strcspn(text, "\n")] = 0;
	return len;
}

static bool file_has(const char *path, const char *word)
{
	FILE *file = fopen(path, "re");
	char line[1024];
	bool has = false;

	if (!file)
		return false;
	while (!has && fgets(line, sizeof(line), file))
		has = strstr(line, word);
	fclose(file);
	return has;
}

/* The module */

/* Is it installed for this kernel? */
static bool is_installed(void)
{
	struct utsname uts;
	char *path;
	bool has;

	uname(&uts);
	path = must_print("/lib/modules/%s/modules.dep", uts.release);
	has = file_has(path, "/divert.ko");
	free(path);
	return has;
}

static bool is_locked_down(void)
{
	char text[128];

	return read_file("/sys/kernel/security/lockdown", text, sizeof(text)) &&
	       !strstr(text, "[none]");
}

static void examine_absence(void)
{
	struct utsname uts;

	uname(&uts);
	if (!is_installed())
		found(PROBLEM, "module", "not installed for kernel %s: apt install divert-dkms linux-headers-%s, or dkms install divert",
		      uts.release, uts.release);
	else
		found(PROBLEM, "module", "installed but not loaded: modprobe divert, and name it in /etc/modules-load.d/divert.conf");
}

static void examine_version(void)
{
	char version[32];

	if (!read_file("/sys/module/divert/version", version, sizeof(version)))
		found(NOTE, "module", "loaded; it does not tell its version");
	else if (strcmp(version, VERSION))
		found(WARNING, "module", "loaded, version %s, but divertctl is %s: install both of one version, then modprobe -r divert; modprobe divert",
		      version, VERSION);
	else
		found(GOOD, "module", "loaded, version %s", version);
}

static void examine_signature(void)
{
	char taint[32] = "";
	bool loaded = read_file("/sys/module/divert/taint", taint,
				sizeof(taint));

	if (loaded && !strchr(taint, 'E'))
		found(GOOD, "signature", "valid, by a key the kernel knows");
	else if (is_locked_down())
		found(PROBLEM, "signature", "the kernel is locked down and takes modules only that a key it knows has signed: mokutil --import /var/lib/dkms/mok.pub, reboot, enroll the key");
	else if (loaded)
		found(NOTE, "signature", "none that the kernel knows; with Secure Boot on, the module would not load (mokutil --import /var/lib/dkms/mok.pub enrolls the key)");
}

static void examine_boot(void)
{
	if (access("/etc/modules-load.d/divert.conf", F_OK) &&
	    access("/usr/lib/modules-load.d/divert.conf", F_OK))
		found(NOTE, "boot", "the module is not loaded at boot: echo divert >/etc/modules-load.d/divert.conf");
	else
		found(GOOD, "boot", "the module is loaded at boot");
}

/* Sockets, rules and settings */

static void examine_settings(const struct diagnosis *d)
{
	const struct conf *conf = &d->conf;

	found(GOOD, "masks", "port 0x%08x, cookie 0x%08x, tee 0x%08x",
	      conf->port_mask, conf->cookie_mask, conf->tee_mask);
	if (!conf->defrag)
		found(NOTE, "defrag", "net.divert.defrag is 0: daemons read fragments as they are");
	if (conf->rcvbuf < 1 << 20)
		found(NOTE, "rcvbuf", "net.divert.rcvbuf is %u: 4194304 holds bursts",
		      conf->rcvbuf);
}

static void examine_rules(const struct diagnosis *d)
{
	const char *policy = d->conf.no_listener;

	for (size_t i = 0; i < d->table.n; i++) {
		const struct rule *rule = &d->table.at[i].rule;

		if (listens(d, rule->port) || rule->tee)
			continue;
		if (!strcmp(policy, "accept"))
			found(NOTE, "rule", "%u: nobody listens on port %u: its packets pass",
			      rule->number, rule->port);
		else
			found(PROBLEM, "rule", "%u: nobody listens on port %u: its packets are dropped (net.divert.no_listener=%s): start its daemon, or divertctl delete %u",
			      rule->number, rule->port, policy, rule->number);
	}
}

static void examine_masks(struct diagnosis *d)
{
	struct error err;

	if (table_compile(&d->table, &d->conf, &err)) {
		found(PROBLEM, "rule", "%s", err.text);
		return;
	}
	for (size_t i = 0; i < d->table.n; i++) {
		const struct entry *entry = &d->table.at[i];
		uint32_t mark = entry->compiled.at[0].mark;

		if (entry->mark != mark)
			found(PROBLEM, "rule", "%u: sets mark 0x%08x, by net.divert's masks it should be 0x%08x: add it once more",
			      entry->rule.number, entry->mark, mark);
	}
}

static void examine_queues(const struct diagnosis *d)
{
	for (size_t i = 0; i < d->sockets.n; i++) {
		const struct socket *s = &d->sockets.at[i];

		if (s->has_stats && s->memory > s->memory_max / 4 * 3)
			found(WARNING, "queue", "port %u: %u%% full with %" PRIu64 " packets: its daemon (%s) does not keep up; divertctl monitor shows rates",
			      s->port, (unsigned int)(s->memory * 100ULL /
						      s->memory_max),
			      socket_waiting(s),
			      s->owners_n ? s->owners[0].command : "unknown");
		if (s->drops)
			found(WARNING, "queue", "port %u: %u packets dropped for want of room: a larger SO_RCVBUF (net.divert.rcvbuf) or several daemons (SO_REUSEPORT) help",
			      s->port, s->drops);
	}
}

static void examine_losses(void)
{
	struct counters counters;
	struct error err;
	uint64_t noport;

	if (counters_read(&counters, &err))
		return;
	noport = counter_value(&counters, "noport");
	if (noport)
		found(WARNING, "losses", "%" PRIu64 " packets dropped so far as nobody listened on their port",
		      noport);
}

static void examine_all(struct diagnosis *d)
{
	struct error err;

	examine_version();
	examine_signature();
	examine_boot();
	examine_settings(d);
	if (sockets_read(&d->sockets, &err))
		found(NOTE, "sockets", "%s", err.text);
	if (table_read(&d->table, &err))
		found(NOTE, "rules", "%s", err.text);
	examine_hooks(d);
	examine_rules(d);
	examine_masks(d);
	examine_ruleset(d);
	examine_fwmarks(d);
	examine_queues(d);
	examine_losses();
	table_free(&d->table);
	sockets_free(&d->sockets);
}

int cmd_doctor(int argc, char **argv)
{
	struct diagnosis d = { 0 };

	if (argc > 1)
		die_usage("%s: doctor takes no argument", argv[1]);
	conf_read(&d.conf);
	if (geteuid())
		found(NOTE, "privileges", "without root, part of what is here cannot be seen");
	if (d.conf.loaded) {
		examine_all(&d);
	} else {
		examine_absence();
		examine_signature();
		examine_ruleset(&d);
	}
	return problems ? STATUS_FAILED : 0;
}
