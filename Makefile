# SPDX-License-Identifier: GPL-2.0
# For people. kbuild reads the file Kbuild instead of this one.

KERNELRELEASE ?= $(shell uname -r)
KDIR ?= /lib/modules/$(KERNELRELEASE)/build
KERNEL ?= 6.1

kbuild = $(MAKE) -C $(KDIR) M=$(CURDIR)
# A value from the command line as one word for the shell.
quote = '$(subst ','\'',$(1))'

.DEFAULT_GOAL := help
.PHONY: help modules modules_install clean deps build vm check check-matrix check-debug check-packages demo packages fuzz fuzz-kernel bench style analyze coverage-of-contract

help: ## print this list
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  %-22s %s\n", $$1, $$2 }' Makefile

modules: ## build divert.ko here (KERNELRELEASE=... or KDIR=..., default: the running kernel)
	$(kbuild) modules

modules_install: ## install divert.ko where modprobe finds it
	$(kbuild) modules_install

clean: ## remove everything built; downloads in the cache stay
	rm -rf build
	if [ -d $(KDIR) ]; then $(kbuild) clean; fi

deps: ## install the Debian packages that build and test need
	@selftests/deps

build: deps ## build module, tests and tools for the VM's kernel into build/ (KERNEL=..., default 6.1)
	@selftests/vm/build $(KERNEL)
	@set -e; for dir in selftests $(dir $(wildcard tools/*/Makefile)); do \
		$(MAKE) --no-print-directory -C $$dir; \
	done

vm: build ## run RUN='command' in the VM, here; no RUN: a shell (KERNEL=...)
	@selftests/vm/run -k $(KERNEL) $(if $(value RUN),$(call quote,$(value RUN)))

check: deps ## style, unit tests, then all selftests in the VM (T=regex: only those tests; V=1: all output)
	@KERNEL="$(KERNEL)" V=$(V) selftests/check $(if $(value T),$(call quote,$(value T)))

check-matrix: deps ## the selftests on every kernel, the module for every architecture; tell README.md
	@status=0; KERNEL="$$(selftests/vm/kernel --list | xargs)" V=$(V) \
		selftests/check $(if $(value T),$(call quote,$(value T)),.) || status=$$?; \
	$(if $(value T),,selftests/status;) exit $$status

check-debug: deps ## the selftests on the debug kernel: KASAN, lockdep, kmemleak and others (T=regex, V=1, JOBS=2: two VMs)
	@KERNEL=debug V=$(V) selftests/check $(if $(value T),$(call quote,$(value T)),.)

fuzz-kernel: build ## random calls in the VM, compared with a model: STEPS=1000000 of SEED=, a new one each time
	@selftests/vm/run -k $(KERNEL) -t 7200 "selftests/insmod && \
		SEED=$(or $(SEED),$$(od -An -N3 -tu4 /dev/urandom | tr -d ' ')) STEPS=$(or $(STEPS),1000000) \
		build/selftests/model"

demo: build ## watch a small daemon divert packets in the VM
	@selftests/vm/run -k $(KERNEL) tools/examples/demo.sh

packages: deps ## build Debian packages into build/packages/, checked by lintian
	@tools/packages

check-packages: deps ## try the packages in a VM: install, DKMS, reboot, demo, a daemon, purge
	@selftests/packages/run

fuzz: deps ## look for inputs that break the parsers (SECONDS=60 for each); put one that does into seeds/
	@set -e; for dir in tools/lib tools/divertctl; do \
		$(MAKE) --no-print-directory -C $$dir fuzz SECONDS=$(or $(SECONDS),60); \
	done

bench: build ## measure divert beside NFQUEUE, TUN and others (ONLY=a,b: only these; see tools/bench/README.md)
	@tools/bench/bench

style: deps ## checkpatch, sparse, W=1, shellcheck: no findings allowed
	@selftests/style

analyze: deps ## coccinelle over the module; gcc -fanalyzer, clang-tidy, cppcheck over the tools: no findings but those explained
	@selftests/analyze

coverage-of-contract: ## list the contract's statements that no test names
	@selftests/coverage-of-contract
