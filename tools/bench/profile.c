// SPDX-License-Identifier: GPL-2.0
/*
 * A plugin for QEMU: how many instructions of each block of code are executed
 * between the marks that "traffic" sets around what it measures. Exact, and at
 * no cost to the guest.
 *
 * Writes a file OUT.1, OUT.2, ... for each pair of marks, a line
 *	address executions instructions
 * for each block that was executed. Argument: out=OUT. One CPU only.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "qemu-plugin.h"

int qemu_plugin_version = 1;

/* A block that QEMU has translated. Translations add to their count as long as
 * they live, which nobody tells: none is ever freed.
 */
struct block {
	struct block	*next;
	uint64_t	address;
	uint64_t	executions;
	unsigned int	instructions;
};

static struct block *blocks;
static const char *out = "profile";
static unsigned int windows;

static void on_start(unsigned int cpu, void *data)
{
	struct block *block;

	(void)cpu;
	(void)data;
	for (block = blocks; block; block = block->next)
		block->executions = 0;
}

static void on_stop(unsigned int cpu, void *data)
{
	struct block *block;
	char path[4096];
	FILE *f;

	(void)cpu;
	(void)data;
	snprintf(path, sizeof(path), "%s.%u", out, ++windows);
	f = fopen(path, "w");
	if (!f) {
		perror(path);
		exit(EXIT_FAILURE);
	}
	for (block = blocks; block; block = block->next)
		if (block->executions)
			fprintf(f, "%llx %llu %u\n",
				(unsigned long long)block->address,
				(unsigned long long)block->executions,
				block->instructions);
	fclose(f);
}

static void watch_marks(struct qemu_plugin_insn *insn)
{
	static const uint8_t opcode[] = { 0x0f, 0x1f, 0x80 };
	const uint8_t *code = qemu_plugin_insn_data(insn);
	uint32_t mark;

	if (qemu_plugin_insn_size(insn) != sizeof(opcode) + sizeof(mark) ||
	    memcmp(code, opcode, sizeof(opcode)))
		return;
	memcpy(&mark, code + sizeof(opcode), sizeof(mark));
	if (mark == PROFILE_START)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_start,
						       QEMU_PLUGIN_CB_NO_REGS,
						       NULL);
	else if (mark == PROFILE_STOP)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_stop,
						       QEMU_PLUGIN_CB_NO_REGS,
						       NULL);
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct block *block = calloc(1, sizeof(*block));

	(void)id;
	if (!block)
		return;
	block->address = qemu_plugin_tb_vaddr(tb);
	block->instructions = n;
	block->next = blocks;
	blocks = block;
	qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64,
						 &block->executions, 1);
	for (i = 0; i < n; i++)
		watch_marks(qemu_plugin_tb_get_insn(tb, i));
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info,
			int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++)
		if (!strncmp(argv[i], "out=", 4))
			out = strdup(argv[i] + 4);
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
	return 0;
}
