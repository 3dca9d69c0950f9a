/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_channel.h"

#include <stdio.h>
#include <string.h>

void sim_channel_write(uint16_t channel, char name[SIM_NAME_SIZE])
{
    if (channel < SIM_PERSONAL_FIRST) {
        (void)snprintf(name, SIM_NAME_SIZE, "room-%u", channel);
    } else if (channel < SIM_NEWS_FIRST) {
        (void)snprintf(name, SIM_NAME_SIZE, "#u%u", channel - (unsigned)SIM_PERSONAL_FIRST);
    } else if (channel < SIM_CHANNEL_MAX) {
        (void)snprintf(name, SIM_NAME_SIZE, "news-%u", channel - (unsigned)SIM_NEWS_FIRST);
    } else {
        (void)snprintf(name, SIM_NAME_SIZE, "none:x");
    }
}

uint16_t sim_channel_read(struct bytes name)
{
    uint16_t channel = 0;
    while (channel < SIM_CHANNEL_MAX) {
        char candidate[SIM_NAME_SIZE];
        sim_channel_write(channel, candidate);
        if (name.size == strlen(candidate) && memcmp(name.data, candidate, name.size) == 0) {
            break;
        }
        channel++;
    }
    return channel;
}
