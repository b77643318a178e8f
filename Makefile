# A thin front for CMake and Ninja. Every target works as the first command in a fresh clone.
BUILD  ?= build
PREFIX ?= /usr/local

.PHONY: all test test-long demo install format clean

all:
	@scripts/setup build
	@cmake -G Ninja -B $(BUILD) -DD4M_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX) --log-level=WARNING
	@ninja -C $(BUILD)

test:
	@scripts/setup test
	@scripts/test

test-long:
	@scripts/setup long
	@scripts/test-long

demo: all
	@scripts/demo $(BUILD)/d4m

# A folder that can be copied: make install DESTDIR=/tmp/d4m PREFIX=/
install: all
	@cmake --install $(BUILD) --prefix $(PREFIX)

format:
	@scripts/setup format
	@clang-format -i src/*/*.[ch] src/*/*/*.[ch] tests/*.h tests/*/*.[ch] fuzz/*.c bench/*.c scripts/*.c

clean:
	@rm -rf build build-*
