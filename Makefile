# Thin names for what scripts do; nothing is decided here.
.PHONY: build build-agent build-hap test test-unit test-integration test-performance test-deployment test-regression

build:            ; scripts/package
# Agent and portal are programs of one package: they share one environment, so there is nothing to build apart.
build-agent:      ; scripts/package
build-hap:        ; scripts/package
test:             ; scripts/test
test-unit:        ; scripts/test -m "not integration and not appliance"
test-integration: ; scripts/test -m integration
test-performance: ; scripts/bench
test-deployment:  ; scripts/test --appliance -m appliance
test-regression:  ; scripts/test
