# sierra_es: an event store inside PostgreSQL

# The other extension is an interface for programs that were written for another store.
EXTENSION   = sierra_es clients/message_store/sierra_message_store
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" sierra_es.control)

MODULE_big  = sierra_es
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
# The install script is built from parts, in this order.
SQL_PARTS   = $(patsubst %,sql/%.sql,types routing retry store guard category_index append read trace verify subscription consumer_group failure \
              monitoring aggregate upcaster timer projection projection_run projection_operate process_manager \
              saga saga_engine saga_operate clear export worker metrics)
DATA_built  = sql/sierra_es--$(EXTVERSION).sql
DATA        = $(filter-out $(DATA_built),$(wildcard sql/sierra_es--*.sql)) $(wildcard clients/message_store/*--*.sql)
EXTRA_CLEAN = $(DATA_built) tmp_check tmp_check_iso
PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Werror=implicit-function-declaration -Werror=vla $(if $(WERROR),-Werror)

# Tests.  Each suite starts and stops a server of its own.  With RUNNING_SERVER=1, pg_regress and
# isolation take the server of PGHOST and PGPORT, with the settings of test/sierra_es.conf.
TEST_OPTS      = --inputdir=$(srcdir)/test --load-extension=sierra_es --encoding=UTF8 --no-locale
own_server     = $(if $(RUNNING_SERVER),,--temp-config=$(srcdir)/test/sierra_es.conf --temp-instance=$(1))
REGRESS       ?= $(sort $(basename $(notdir $(wildcard test/sql/*.sql))))
REGRESS_OPTS   = $(TEST_OPTS) $(call own_server,tmp_check)
ISOLATION     ?= $(sort $(basename $(notdir $(wildcard test/specs/*.spec))))
# --outputdir: PostgreSQL 15 looks for expected files below it
ISOLATION_OPTS = $(TEST_OPTS) $(call own_server,tmp_check_iso) --outputdir=.
TAP_TESTS      = 1
PROVE_TESTS   ?= $(sort $(wildcard test/t/*.pl))
export PGISOLATIONTIMEOUT = 60

# ./sql/NAME.sql would be run instead of test/sql/NAME.sql
CLASH := $(filter $(REGRESS),$(basename $(notdir $(wildcard sql/*.sql))))
ifneq ($(CLASH),)
$(error test named like a file in sql/: $(CLASH))
endif

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

# The gateway is a program, built where the libraries that it needs are.
GATEWAY_LIBRARIES = libevent libevent_openssl libssl
# GATEWAY=no: without it, wherever one is.
has_gateway := $(and $(filter-out no,$(or $(GATEWAY),yes)),$(wildcard $(shell $(PG_CONFIG) --includedir)/libpq-fe.h),$(shell pkg-config --exists $(GATEWAY_LIBRARIES) 2>/dev/null && echo yes))
gateway_make = $(MAKE) -C $(srcdir)/gateway PG_CONFIG=$(PG_CONFIG)

ifeq ($(has_gateway),yes)
all: gateway
install: install-gateway
uninstall: uninstall-gateway
clean: clean-gateway
else ifneq ($(GATEWAY),no)
all: without-gateway
endif

gateway:
	$(gateway_make)

install-gateway: gateway
	$(gateway_make) install

uninstall-gateway:
	$(gateway_make) uninstall

clean-gateway:
	$(gateway_make) clean

without-gateway:
	@echo 'sierra_gateway is not built: it needs libevent, OpenSSL and libpq with their headers (Debian: libevent-dev libssl-dev libpq-dev)'

sql/sierra_es--$(EXTVERSION).sql: $(SQL_PARTS) sierra_es.control
	cat $(SQL_PARTS) > $@

$(OBJS): $(wildcard src/*/*.h)

bench: all
	bench/run

# For PostgreSQL 15; needs valgrind.
bench-instructions: all
	bench/instructions

SOURCES = $(wildcard src/*.c src/*/*.[ch])
GATEWAY_SOURCES = $(wildcard gateway/*/*.[ch])

format:
	clang-format -i $(SOURCES) $(GATEWAY_SOURCES)

lint:
	@scripts/lint-wings
	@scripts/lint-english
	@! grep -n PG_VERSION_NUM $(SOURCES) | grep -v '^src/base/compat.h' || (echo 'PG_VERSION_NUM outside compat.h'; exit 1)
	@! grep -nE '\b(sprintf|strcpy|strcat|usleep|malloc) *\(|^[[:space:]]*//' $(SOURCES) || (echo 'banned function or comment style'; exit 1)
	@! grep -nE 'err(msg|msg_plural)\("([A-Z][a-z]|[^"]*\."\))' $(SOURCES) || (echo 'message style'; exit 1)
	@! grep -nE '\b(sprintf|strcpy|strcat|usleep|sleep|malloc|strtok) *\(|^[[:space:]]*//' $(GATEWAY_SOURCES) | \
		grep -v '^gateway/base/memory.c:' || (echo 'banned function or comment style'; exit 1)
	clang-format --dry-run --Werror $(SOURCES) $(GATEWAY_SOURCES)
	cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr --suppress=ctuuninitvar -DSIERRA_VERSION='""' -I gateway gateway
	cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr --library=test/cppcheck.cfg -I src src

.PHONY: bench bench-instructions format lint gateway install-gateway uninstall-gateway clean-gateway without-gateway
