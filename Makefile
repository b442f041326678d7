# sierra_es: an event store inside PostgreSQL

EXTENSION   = sierra_es
EXTVERSION := $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" sierra_es.control)

MODULE_big  = sierra_es
OBJS        = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
DATA        = $(wildcard sql/*--*--*.sql)
DATA_built  = sql/$(EXTENSION)--$(EXTVERSION).sql
EXTRA_CLEAN = sql/$(EXTENSION)--$(EXTVERSION).sql tmp_check tmp_check_iso
PG_CFLAGS   = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare $(if $(WERROR),-Werror)

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

$(DATA_built): sql/$(EXTENSION).sql sierra_es.control
	cp $< $@

$(OBJS): $(wildcard src/*.h)
