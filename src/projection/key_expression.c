/*
 * key_expression.c
 *		The expression that gives the key of an event.
 */
#include "postgres.h"

#include "projection/key_expression.h"

#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"

/* The position of a syntax error is one in the expression, not in the statement of the user. */
static void
move_position(void *expression)
{
	int position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(expression);
}

static List *
parse(const char *expression)
{
	ErrorContextCallback context = {.previous = error_context_stack,
									.callback = move_position,
									.arg = unconstify(char *, expression)};
	List *statements;

	error_context_stack = &context;
	statements = raw_parser(expression, RAW_PARSE_PLPGSQL_EXPR);
	error_context_stack = context.previous;
	return statements;
}

/* Has the statement nothing but one value in its target list? */
static bool
is_one_target(const SelectStmt *select)
{
	const ResTarget *target;
	bool more =
		select->distinctClause != NIL || select->intoClause != NULL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL || select->havingClause != NULL ||
		select->windowClause != NIL || select->valuesLists != NIL || select->sortClause != NIL ||
		select->limitOffset != NULL || select->limitCount != NULL || select->lockingClause != NIL ||
		select->withClause != NULL || select->op != SETOP_NONE;

	if (more || list_length(select->targetList) != 1)
		return false;
	target = linitial_node(ResTarget, select->targetList);
	return target->name == NULL && target->indirection == NIL;
}

/* The fields of an event, as e.* would be, are not one value. */
static bool
is_star(const Node *value)
{
	return IsA(value, ColumnRef) && IsA(llast(((ColumnRef *) value)->fields), A_Star);
}

static bool
has_parameter(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, ParamRef) || raw_expression_tree_walker(node, has_parameter, context);
}

static bool
is_expression(List *statements)
{
	Node *statement =
		list_length(statements) == 1 ? linitial_node(RawStmt, statements)->stmt : NULL;
	Node *value;

	if (statement == NULL || !IsA(statement, SelectStmt) ||
		!is_one_target((SelectStmt *) statement))
		return false;
	value = linitial_node(ResTarget, ((SelectStmt *) statement)->targetList)->val;
	return !is_star(value) && !has_parameter(value, NULL);
}

void
sierra_key_check(const char *expression, const char *projection)
{
	if (is_expression(parse(expression)))
		return;
	ereport(ERROR, errcode(ERRCODE_SYNTAX_ERROR),
			errmsg("the key of projection \"%s\" is not an expression", projection),
			errdetail("It is %s.", expression),
			errhint("A key is one expression over the event e, such as e.stream_id, without "
					"parameters."));
}
