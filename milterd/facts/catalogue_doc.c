#include "config.h"

#include "milterd/facts/facts.h"

/* Text of a table's cell: a bar would end the cell. */
static void cell(FILE *to, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '|')
			fputc('\\', to);
		fputc(*text, to);
	}
}

static void row_manual(FILE *to, const struct fact_row *row)
{
	fputs("| `", to);
	cell(to, row->name);
	fprintf(to, "` | %s | %s | ", fact_type_names[row->type], stage_names[row->stage]);
	cell(to, row->about);
	fputs(" | ", to);
	if (row->example != NULL) {
		fputc('`', to);
		cell(to, row->example);
		fputc('`', to);
	}
	fputs(" |\n", to);
}

void catalogue_manual(FILE *to)
{
	fputs("# Facts\n\n"
	      "What rules can ask for. A fact is known from its stage on; where its provider is "
	      "absent,\n"
	      "failed or has nothing to say, it is unknown. `*` stands for the name of a header "
	      "field,\n"
	      "`[].` for a member of each element of a list.\n",
	    to);
	for (size_t p = 0; providers[p] != NULL; p++) {
		fprintf(to,
		    "\n## %s%s\n\n| fact | type | stage | what it is | example |\n"
		    "|---|---|---|---|---|\n",
		    providers[p]->name,
		    providers[p]->costly ? " (computed only where a rule asks for it)" : "");
		for (size_t i = 0; i < providers[p]->n; i++)
			row_manual(to, &providers[p]->rows[i]);
	}
}
