# One verb for each need; `make help` tells them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

PROGRAMS := fairlead-controller fairlead-agent fairlead-cni fairlead
# A tree that git refuses to read (another owner's, no repository) still builds.
BUILDVCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo auto || echo false)
VERSION  := $(shell sed -n 's/^version: //p' charts/fairlead/Chart.yaml)
GOLINT   := go tool -modfile=hack/tools/go.mod golangci-lint
HELM     := go tool -modfile=hack/helm/go.mod helm
HELMDOCS := go tool -modfile=hack/helm/go.mod helm-docs

GENERATED := api config/crd charts/fairlead/crds charts/fairlead/files charts/fairlead/README.md docs/api.md docs/configuration.md

# The lab's tests run one package at a time, after all others: on a small machine
# the timers of real routers must not wait for another test's work.
LAB := ^fairlead.dev/hack/lab(/|$$)
# More arguments of go test, such as TESTARGS='-run TestRestart -v'.
TESTARGS ?=
# The name of what make cluster brings up.
INSTANCE ?= cluster

.PHONY: help demo cluster test test-units test-lab test-cluster soak setup lint generate check-generated e2e-upstream bench image chart build clean

help: ## Show this
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1|/p' Makefile | awk -F'|' '{printf "%-13s %s\n", $$1, $$2}'

demo: build ## A data centre on this machine: pods of two racks talk (root; KEEP=1 leaves it up)
	hack/setup.sh >/dev/null
	go build -o bin/lab ./hack/lab/cmd/lab
	bin/lab demo

cluster: build ## A Kubernetes of real kubelets, Fairlead installed by Helm; it stays up (root; INSTANCE=name)
	hack/setup.sh >/dev/null
	hack/setup.sh cluster >/dev/null
	go build -o bin/lab ./hack/lab/cmd/lab
	bin/lab -i $(INSTANCE) cluster

test: setup check-generated test-units test-lab ## Every layer of tests, the lab last (root)

test-units: ## Layers L0 to L3
	go test -race -p 2 -timeout 30m $(TESTARGS) $$(go list ./... | grep -Ev '$(LAB)')
	cd hack/image && go test -timeout 10m $(TESTARGS) ./...
	cd hack/alert && go test -count=1 -timeout 10m $(TESTARGS) ./...
	cd hack/testimage && go test -timeout 10m $(TESTARGS) ./...

# The programs under test are built by the tests: Go's cache of results does not know
# when they change.
test-lab: build ## Layer L4: real agents, real routers, real packets (root)
	go test -race -short -count=1 -p 1 -timeout 45m $(TESTARGS) $$(go list ./... | grep -E '$(LAB)')

test-cluster: setup ## The long form on real machines: upgrade, drain, reboot, outage (root)
	go test -timeout 45m $(TESTARGS) -skip '^TestQuick$$' ./hack/lab/scenario/cluster

soak: ## 5,000 pods come and go on one node, and nothing is left of them (root)
	go test -timeout 30m $(TESTARGS) ./hack/fault -run '^TestCycles$$' -v -cycles 5000

setup: # Packages, and the Kubernetes that tests and demo run
	hack/setup.sh >/dev/null
	hack/setup.sh cluster >/dev/null

lint: ## gofumpt, golangci-lint, and the rules of who may import whom
	$(GOLINT) run ./...
	go mod tidy -diff

generate: ## Deepcopy, CRDs, the chart's copies, the tables of the docs
	hack/generate.sh
	rm -f charts/fairlead/crds/*.yaml charts/fairlead/files/rbac/*.yaml
	cp config/crd/*.yaml charts/fairlead/crds/
	cp config/rbac/*.yaml charts/fairlead/files/rbac/
	$(HELMDOCS) --log-level warning -c charts/fairlead
	go run ./hack/apidoc > docs/api.md
	go test ./config -run TestDocumentation -update

check-generated: generate
	git diff --exit-code -- $(GENERATED)

conformance: ## Ask our CNI plugin and the reference's what the specification demands: docs/cni-conformance.md (root)
	go run ./hack/conformance/cmd/conformance -o docs/cni-conformance.md

e2e-upstream: setup ## Kubernetes' own tests of the network: FAMILY=ipv4, ipv6 or dual, default all (root)
	go run ./hack/e2e -family "$(FAMILY)"

bench: build ## Measure ourselves and the reference beside us: AREA=cni JSON=file
	go run ./hack/bench -area "$(AREA)" -json "$(JSON)"

image: ## dist/: an OCI image archive for amd64 and arm64, without Docker
	cd hack/image && go run . -o ../../dist/fairlead-$(VERSION).tar -tag $(VERSION)

chart: ## dist/: the Helm chart, linted and rendered first
	$(HELM) lint --strict charts/fairlead
	$(HELM) template fairlead charts/fairlead --kube-version 1.32.0 >/dev/null
	mkdir -p dist && $(HELM) package charts/fairlead --destination dist

build: ## bin/: the four programs, and the two reference plugins that are chained
	CGO_ENABLED=0 go build -trimpath -buildvcs=$(BUILDVCS) -ldflags '-s -w' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))
	hack/plugins/build.sh bin

clean: ## Remove what was built here
	rm -rf bin dist
