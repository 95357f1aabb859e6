/* SPDX-License-Identifier: Apache-2.0 */
/* A program with several Lua states, as servers have them: each runs the file that is named, one
 * after another and then at the same time, and they are closed in another order than opened, with
 * all that is still there. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#define N_STATES 4

struct host {
	pthread_t thread;
	lua_State *L;
	const char *file;
	int failed;
};

static void *run(void *payload)
{
	struct host *host = payload;

	if (luaL_dofile(host->L, host->file) != 0) {
		fprintf(stderr, "%s\n", lua_tostring(host->L, -1));
		host->failed = 1;
	}
	lua_settop(host->L, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	struct host hosts[N_STATES];
	int i, failed = argc != 2;

	for (i = 0; i < N_STATES && !failed; i++) {
		hosts[i].L = luaL_newstate();
		hosts[i].file = argv[1];
		hosts[i].failed = 0;
		luaL_openlibs(hosts[i].L);
		run(&hosts[i]);
	}
	for (i = 0; i < N_STATES && !failed; i++)
		if (pthread_create(&hosts[i].thread, NULL, run, &hosts[i]) != 0)
			abort();
	for (i = 0; i < N_STATES && !failed; i++)
		pthread_join(hosts[i].thread, NULL);
	for (i = 0; i < N_STATES; i++) {
		lua_close(hosts[(i * 3) % N_STATES].L);
		failed |= hosts[i].failed;
	}
	return failed;
}
