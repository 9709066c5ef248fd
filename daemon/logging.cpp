#include "daemon/logging.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

namespace weft {
namespace {

LogClass class_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::trace:
        case spdlog::level::debug:
            return LogClass::debug;
        case spdlog::level::info:
            return LogClass::info;
        case spdlog::level::warn:
            return LogClass::warning;
        default:
            return LogClass::error;
    }
}

/// Lets through exactly the classes of one target; spdlog itself knows only "from this level up".
class Selected final : public spdlog::sinks::sink {
  public:
    Selected(spdlog::sink_ptr next, std::vector<LogClass> classes)
        : next_(std::move(next)), classes_(std::move(classes)) {}

    void log(const spdlog::details::log_msg& message) override {
        if (std::find(classes_.begin(), classes_.end(), class_of(message.level)) != classes_.end()) next_->log(message);
    }
    void flush() override { next_->flush(); }
    void set_pattern(const std::string& pattern) override { next_->set_pattern(pattern); }
    void set_formatter(std::unique_ptr<spdlog::formatter> formatter) override {
        next_->set_formatter(std::move(formatter));
    }

  private:
    spdlog::sink_ptr next_;
    std::vector<LogClass> classes_;
};

spdlog::sink_ptr open(const LogTarget& target) {
    switch (target.kind) {
        case LogTarget::Kind::syslog: {
            auto sink = std::make_shared<spdlog::sinks::syslog_sink_st>("weftd", 0, LOG_DAEMON, true);
            sink->set_pattern("%v");
            return sink;
        }
        case LogTarget::Kind::file:
            return std::make_shared<spdlog::sinks::basic_file_sink_st>(target.file);
        case LogTarget::Kind::standard_error:
            break;
    }
    return std::make_shared<spdlog::sinks::stderr_sink_st>();
}

}  // namespace

Result<Done> set_up_logging(const std::vector<LogTarget>& targets) {
    auto logger = std::make_shared<spdlog::logger>("weftd");
    for (const LogTarget& target : targets) {
        try {
            auto sink = open(target);
            if (target.kind != LogTarget::Kind::syslog) sink->set_pattern("%Y-%m-%d %H:%M:%S.%e %-7l %v");
            logger->sinks().push_back(std::make_shared<Selected>(std::move(sink), target.classes));
        } catch (const spdlog::spdlog_ex& failure) {
            return Error{fmt::format("log file {}: {}; make its directory, or let weftd's user write to it",
                                     target.file, failure.what())};
        }
    }
    logger->set_level(spdlog::level::trace);
    logger->flush_on(spdlog::level::trace);
    spdlog::set_default_logger(std::move(logger));
    return Done{};
}

}  // namespace weft
