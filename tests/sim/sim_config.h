/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_CONFIG_H
#define TESTS_SIM_SIM_CONFIG_H
/* How the server is configured for what a seed has chosen. For config_destroy(). */
#include "core/annot.h"
#include "server/config.h"

struct sim_profile;

NODISCARD struct config sim_config_choose(const struct sim_profile *profile);

#endif /* TESTS_SIM_SIM_CONFIG_H */
