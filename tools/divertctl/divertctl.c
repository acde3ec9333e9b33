// SPDX-License-Identifier: GPL-2.0
/* divertctl: see and steer divert sockets. The commands, and which is meant. */

#include <stdio.h>
#include <string.h>

#include "divertctl.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *arguments;
	const char *help;
};

static const struct command commands[] = {
	{ "show", cmd_show, "[--json]",
	  "sockets, their owners and queues (the default)" },
	{ "stats", cmd_stats, "[--json|--prometheus]",
	  "counters of this network namespace" },
	{ "monitor", cmd_monitor, "[-i SECONDS] [-n COUNT]",
	  "live ports, rates and drops" },
	{ "add", cmd_add, "[-r] [-n] [NUMBER] divert|tee PORT PROTO from ADDRESS [PORTS] to ADDRESS [PORTS] [OPTION...]",
	  "add a rule, in ipfw's grammar" },
	{ "delete", cmd_delete, "NUMBER...", "delete rules" },
	{ "list", cmd_list, "[-a] [--nft]", "list the rules" },
	{ "flush", cmd_flush, "", "delete all rules" },
	{ "mark", cmd_mark, "PORT COOKIE | --define [NAME=PORT:COOKIE...]",
	  "the mark that diverts, for rules written in nft" },
	{ "dump", cmd_dump, "[-c COUNT] [-w FILE] PORT|rule NUMBER [FILTER...]",
	  "watch what is diverted" },
	{ "doctor", cmd_doctor, "", "find what is wrong" },
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	return NULL;
}

static void usage(FILE *out)
{
	fputs("usage: divertctl [COMMAND [ARGUMENT...]]\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-9s %s\n", commands[i].name,
			commands[i].help);
	fputs("\n\"divertctl COMMAND --help\" tells its arguments, divertctl(8) the rest.\n",
	      out);
}

static void command_usage(FILE *out, const struct command *command)
{
	fprintf(out, "usage: divertctl %s %s\n", command->name,
		command->arguments);
}

static int help(const struct command *command)
{
	command_usage(stdout, command);
	puts(command->help);
	return 0;
}

/* What getopt(3) finds wrong it tells by this name, but not what is right. */
static int run(const struct command *command, int argc, char **argv)
{
	char name[32];
	int status;

	snprintf(name, sizeof(name), "divertctl %s", command->name);
	argv[0] = name;
	status = command->run(argc, argv);
	if (status == STATUS_USAGE)
		command_usage(stderr, command);
	return status;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "--help") || !strcmp(word, "-h");
}

int main(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2)
		return cmd_show(1, (char *[]){ "show", NULL });
	if (is_help(argv[1]) || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts("divertctl " VERSION);
		return 0;
	}
	command = find(argv[1]);
	if (!command) {
		fprintf(stderr, "divertctl: %s: not a command\n", argv[1]);
		usage(stderr);
		return STATUS_USAGE;
	}
	if (argc == 3 && is_help(argv[2]))
		return help(command);
	return run(command, argc - 1, argv + 1);
}
