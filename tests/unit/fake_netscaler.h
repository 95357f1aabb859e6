/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_TESTS_FAKE_NETSCALER_H
#define CERTAUTO_TESTS_FAKE_NETSCALER_H

/* A device that says what it is told to, with sessions as NITRO has them: for what the target says
 * to it, to the byte. How a real one behaves is for the simulator of tests/sim. */

#include "fake_device.h"

#define DONE "{\"errorcode\":0,\"message\":\"Done\",\"severity\":\"NONE\""
#define NO(code, words) "{\"errorcode\":" code ",\"message\":\"" words "\",\"severity\":\"ERROR\"}"

static inline void device_login(struct device *device, int fd, const char *text)
{
	static int number; /* sessions of other devices do not pass for ours */
	char cookie[128];

	device->n_logins++;
	assert_null(strstr(text, "Cookie:"));
	assert_null(strstr(text, "X-NITRO-USER"));
	if (strstr(text, "\"password\":\"right\"") == NULL) {
		device_say(fd, 401, "", "{\"errorcode\":354,\"message\":\"Invalid username or "
			"password\",\"severity\":\"ERROR\"}");
		return;
	}
	device->session = __atomic_add_fetch(&number, 1, __ATOMIC_SEQ_CST);
	snprintf(cookie, sizeof(cookie),
		"Set-Cookie: other=1\r\nSet-Cookie: NITRO_AUTH_TOKEN=%%23tok%d;path=/nitro/v1\r\n",
		device->session);
	device_say(fd, 201, cookie, DONE "}");
}

static inline int device_knows(const struct device *device, const char *text)
{
	char cookie[64];

	if (strstr(text, "X-NITRO-USER: admin") != NULL)
		return strstr(text, "X-NITRO-PASS: right") != NULL;
	snprintf(cookie, sizeof(cookie), "Cookie: NITRO_AUTH_TOKEN=%%23tok%d\r\n",
		device->session);
	return device->session != 0 && strstr(text, cookie) != NULL;
}

static inline void device_note(struct device *device, const char *request, const char *body)
{
	size_t len = strlen(device->log);

	if (!device->with_bodies)
		snprintf(device->log + len, sizeof(device->log) - len, "%s\n", request);
	else if (strcmp(request, "POST login") != 0 && strcmp(request, "POST logout") != 0)
		snprintf(device->log + len, sizeof(device->log) - len, "%s %s\n", request, body);
}

static inline void device_answer(struct device *device, int fd, const char *text, const char *body)
{
	struct line *line;
	char method[16], path[1024], request[1100];

	assert_int_equal(sscanf(text, "%15s /nitro/v1/config/%1023s", method, path), 2);
	snprintf(request, sizeof(request), "%s %s", method, path);
	device_note(device, request, body);
	line = device_line(device, request);
	if (device->dead_from != 0 && device->n_calls + 1 >= device->dead_from)
		return;
	if (strcmp(request, "POST login") == 0) {
		if (line == NULL) {
			device_login(device, fd, text);
			return;
		}
		device->n_logins++;
	} else {
		device->n_calls++;
		if (device->n_calls == device->lose_at)
			device->session = 0;
		if (device->n_calls == device->cut_at)
			return;
		if (!device_knows(device, text)) {
			device_say(fd, 401, "", "{\"errorcode\":444,\"message\":\"Session "
				"expired or killed\",\"severity\":\"ERROR\"}");
			return;
		}
		device->n_logouts += strcmp(request, "POST logout") == 0;
	}
	device_reply(fd, line, "", DONE "}");
}

#endif
