/* SPDX-License-Identifier: Apache-2.0 */
/* Targets written in a language of ours: one trampoline runs all operations that such a target has.
 * What is called belongs to the language, as the payload has it. */

%{
#include <stdlib.h>
#include <string.h>

struct own_target {
	certauto_target_ops ops;        /* must live as long as the target */
	void *call;
	char texts[1];                  /* name and options, each with its NUL */
};

static void own_target_set(certauto_target_ops *ops, const char *name, certauto_op_cb run)
{
	static const struct {
		const char *name;
		size_t offset;
	} operations[] = {
#define OPERATION(op) { #op, offsetof(certauto_target_ops, op) }
		OPERATION(present), OPERATION(cleanup), OPERATION(observe), OPERATION(stage),
		OPERATION(swap), OPERATION(save), OPERATION(tidy), OPERATION(undo), OPERATION(csr),
#undef OPERATION
	};
	size_t i;

	for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		if (strcmp(name, operations[i].name) == 0)
			*(certauto_op_cb *)((char *)ops + operations[i].offset) = run;
}

/* names: the operations it has. */
static struct own_target *own_target_new(const char *name, int caps, const char *options_json,
	const char *const *names, size_t n_names, certauto_op_cb run, void *call)
{
	size_t i, name_size = strlen(name) + 1;
	size_t options_size = options_json != NULL ? strlen(options_json) + 1 : 0;
	struct own_target *made = calloc(1, sizeof(*made) + name_size + options_size);

	if (made == NULL)
		return NULL;
	made->ops.version = CERTAUTO_TARGET_OPS_VERSION;
	made->ops.caps = (unsigned)caps;
	made->ops.name = memcpy(made->texts, name, name_size);
	if (options_json != NULL)
		made->ops.options_json =
			memcpy(made->texts + name_size, options_json, options_size);
	for (i = 0; i < n_names; i++)
		own_target_set(&made->ops, names[i], run);
	made->call = call;
	return made;
}
%}
