# Thin names for what scripts do; nothing is decided here.   make test-unit ARGS="tests/slurp -k lease"
.PHONY: build build-agent build-hap test test-unit test-integration test-performance test-deployment test-regression

build:            ; scripts/package $(ARGS)
# Agent and portal are programs of one package: they share one environment, so there is nothing to build apart.
build-agent:      ; scripts/package $(ARGS)
build-hap:        ; scripts/package $(ARGS)
test:             ; scripts/test $(ARGS)
test-unit:        ; scripts/test -m "not integration and not appliance" $(ARGS)
test-integration: ; scripts/test -m integration $(ARGS)
test-performance: ; scripts/bench $(ARGS)
test-deployment:  ; scripts/test --appliance -m appliance $(ARGS)
test-regression:  ; scripts/test $(ARGS)
