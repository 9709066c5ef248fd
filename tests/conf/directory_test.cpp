#include <utility>

#include "conf/directory_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

namespace weft {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::IsEmpty;
namespace fs = std::filesystem;

std::string pool(const std::string& name, const std::string& cidr, const std::string& mode = "Always") {
    return "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata:\n  name: " + name + "\nspec:\n  cidr: " + cidr +
           "\n  vxlanMode: " + mode + "\n---\n";
}

class DirectoryTest : public testing::Test {
  protected:
    DirectoryTest() { fs::create_directories(path()); }
    ~DirectoryTest() override { fs::remove_all(base_); }

    std::string path(const std::string& name = {}) const {
        return base_ + "/cluster" + (name.empty() ? "" : "/" + name);
    }
    void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }
    void replace(const std::string& name, const std::string& text) const {
        write("." + name + ".new", text);
        fs::rename(path("." + name + ".new"), path(name));
    }

    void start() {
        reader_.emplace(io_, path(), "a");
        reader_->start([this](SourceUpdate update) { last_ = std::move(update); });
    }
    bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds within = 10s) {
        const auto deadline = std::chrono::steady_clock::now() + within;
        while (!condition() && std::chrono::steady_clock::now() < deadline) {
            io_.restart();
            io_.run_one_for(50ms);
        }
        return condition();
    }
    std::size_t pools() const { return last_.cluster ? last_.cluster->pools.size() : 0; }
    Encapsulate mode() const { return last_.cluster->pools.at(0).vxlan; }
    std::string troubles() const {
        std::string all = last_.status.trouble;
        for (const ObjectTrouble& trouble : last_.status.objects) all += to_string(trouble) + "\n";
        return all;
    }

    static std::string new_directory() {
        std::string pattern = (fs::temp_directory_path() / "weft-directory-XXXXXX").string();
        return mkdtemp(pattern.data());
    }
    const std::string base_ = new_directory();
    boost::asio::io_context io_{1};
    std::optional<DirectoryReader> reader_;
    SourceUpdate last_;
};

TEST_F(DirectoryTest, is_read_with_subdirectories_and_without_what_is_none_of_ours) {
    write("one.yaml", pool("p", "10.65.0.0/16") + "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n");
    fs::create_directories(path("more/deep"));
    write("more/deep/two.json", R"({"apiVersion":"projectcalico.org/v3","kind":"IPPool","metadata":{"name":"q"},
                                   "spec":{"cidr":"10.66.0.0/16"}})");
    write("notes.txt", "no manifest");
    write(".hidden.yaml", pool("h", "10.67.0.0/16"));
    start();
    EXPECT_EQ(pools(), 2U);
    EXPECT_EQ(troubles(), "");
    EXPECT_TRUE(last_.status.synced);
    EXPECT_EQ(last_.status.held, 2U);
}

TEST_F(DirectoryTest, follows_files_that_are_written_renamed_and_deleted) {
    write("a.yaml", pool("p", "10.65.0.0/16"));
    start();
    write("b.yaml", pool("q", "10.66.0.0/16"));
    EXPECT_TRUE(eventually([&] { return pools() == 2; }));
    replace("a.yaml", pool("p", "10.65.0.0/16", "CrossSubnet"));
    EXPECT_TRUE(eventually([&] { return mode() == Encapsulate::cross_subnet; }));
    fs::remove(path("b.yaml"));
    EXPECT_TRUE(eventually([&] { return pools() == 1; }));
    fs::create_directories(path("sub"));
    write("sub/c.yml", pool("r", "10.67.0.0/16"));
    EXPECT_TRUE(eventually([&] { return pools() == 2; }));
    fs::rename(path("sub"), base_ + "/elsewhere");
    EXPECT_TRUE(eventually([&] { return pools() == 1; }));
}

TEST_F(DirectoryTest, follows_the_link_that_kubernetes_swaps) {
    fs::create_directories(path("..v1"));
    fs::create_directories(path("..v2"));
    write("..v1/p.yaml", pool("p", "10.65.0.0/16"));
    write("..v2/p.yaml", pool("p", "10.65.0.0/16", "CrossSubnet"));
    fs::create_directory_symlink("..v1", path("..data"));
    fs::create_symlink("..data/p.yaml", path("p.yaml"));
    start();
    EXPECT_EQ(mode(), Encapsulate::always);
    fs::create_directory_symlink("..v2", path("..data_tmp"));
    fs::rename(path("..data_tmp"), path("..data"));
    fs::remove_all(path("..v1"));
    EXPECT_TRUE(eventually([&] { return mode() == Encapsulate::cross_subnet; }));
}

TEST_F(DirectoryTest, keeps_what_it_knows_while_the_directory_is_away) {
    write("p.yaml", pool("p", "10.65.0.0/16"));
    start();
    fs::rename(path(), base_ + "/away");
    EXPECT_TRUE(eventually([&] { return !last_.status.trouble.empty(); }));
    EXPECT_EQ(pools(), 1U);
    EXPECT_TRUE(last_.status.synced);
    fs::create_directories(path());
    write("q.yaml", pool("q", "10.66.0.0/16") + pool("r", "10.67.0.0/16"));
    EXPECT_TRUE(eventually([&] { return last_.status.trouble.empty() && pools() == 2; }));
    write("s.yaml", pool("s", "10.68.0.0/16"));
    EXPECT_TRUE(eventually([&] { return pools() == 3; }));
}

TEST_F(DirectoryTest, follows_a_link_to_a_directory_that_is_swapped) {
    fs::remove_all(path());
    for (const char* name : {"r1", "r2"}) fs::create_directories(base_ + "/" + name);
    std::ofstream(base_ + "/r1/p.yaml") << pool("p", "10.65.0.0/16");
    std::ofstream(base_ + "/r2/p.yaml") << pool("p", "10.65.0.0/16", "CrossSubnet");
    fs::create_directory_symlink("r1", path());
    start();
    EXPECT_EQ(mode(), Encapsulate::always);
    fs::create_directory_symlink("r2", base_ + "/new");
    fs::rename(base_ + "/new", path());
    EXPECT_TRUE(eventually([&] { return mode() == Encapsulate::cross_subnet; }));
}

TEST_F(DirectoryTest, that_is_missing_at_the_start_is_waited_for) {
    fs::remove_all(path());
    start();
    EXPECT_FALSE(last_.cluster);
    EXPECT_FALSE(last_.status.synced);
    EXPECT_THAT(last_.status.trouble, HasSubstr("No such file"));
    fs::create_directories(path());
    write("p.yaml", pool("p", "10.65.0.0/16"));
    EXPECT_TRUE(eventually([&] { return last_.status.synced && pools() == 1; }));
}

TEST_F(DirectoryTest, keeps_the_last_valid_form_of_a_broken_object_and_names_file_line_and_field) {
    write("p.yaml", pool("p", "10.65.0.0/16"));
    start();
    write("p.yaml", pool("p", "10.65.0.0/16", "Sometimes"));
    EXPECT_TRUE(eventually([&] { return last_.status.invalid == 1; }));
    EXPECT_EQ(mode(), Encapsulate::always);
    EXPECT_THAT(troubles(), HasSubstr("p.yaml:7: IPPool p: spec.vxlanMode: Unsupported value: \"Sometimes\""));
    EXPECT_THAT(troubles(), HasSubstr("its last valid form stays in use"));
    EXPECT_THAT(last_.incomplete, IsEmpty());
    write("p.yaml", pool("p", "10.65.0.0/16", "CrossSubnet"));
    EXPECT_TRUE(eventually([&] { return last_.status.invalid == 0 && mode() == Encapsulate::cross_subnet; }));
}

TEST_F(DirectoryTest, keeps_what_a_file_said_that_cannot_be_understood_any_more) {
    write("p.yaml", pool("p", "10.65.0.0/16") + pool("q", "10.66.0.0/16"));
    start();
    write("p.yaml", "apiVersion: [\nkind: IPPool\n");
    EXPECT_TRUE(eventually([&] { return !troubles().empty(); }));
    EXPECT_EQ(pools(), 2U);
    EXPECT_THAT(troubles(), HasSubstr("p.yaml:"));
    EXPECT_THAT(last_.incomplete, IsEmpty());
}

TEST_F(DirectoryTest, says_that_it_is_not_whole_when_a_file_never_was_understood) {
    write("p.yaml", pool("p", "10.65.0.0/16"));
    write("q.yaml", "{");
    start();
    EXPECT_EQ(pools(), 1U);
    EXPECT_THAT(last_.incomplete, HasSubstr("q.yaml"));
}

TEST_F(DirectoryTest, takes_the_first_of_two_objects_of_one_name_and_the_other_when_that_goes) {
    write("a.yaml", pool("p", "10.65.0.0/16"));
    write("b.yaml", pool("p", "10.65.0.0/16", "CrossSubnet"));
    start();
    EXPECT_EQ(mode(), Encapsulate::always);
    EXPECT_THAT(troubles(), HasSubstr("b.yaml:4: IPPool p: stands here again, after a.yaml:4"));
    fs::remove(path("a.yaml"));
    EXPECT_TRUE(eventually([&] { return mode() == Encapsulate::cross_subnet; }));
}

TEST_F(DirectoryTest, does_not_take_a_file_for_empty_that_is_being_written) {
    write("p.yaml", pool("p", "10.65.0.0/16"));
    start();
    {
        std::ofstream half(path("p.yaml"));
        write("other.yaml", pool("q", "10.66.0.0/16"));
        EXPECT_TRUE(eventually([&] { return pools() == 2; }));
        half << pool("p", "10.65.0.0/16", "CrossSubnet");
    }
    EXPECT_TRUE(eventually([&] { return mode() == Encapsulate::cross_subnet; }));
}

TEST_F(DirectoryTest, brings_the_operators_pools_and_mode) {
    write("installation.yaml", R"(apiVersion: operator.tigera.io/v1
kind: Installation
metadata: {name: default}
spec:
  calicoNetwork:
    bgp: Disabled
    ipPools:
    - {name: v4, cidr: 10.65.0.0/16, encapsulation: VXLANCrossSubnet}
)");
    start();
    EXPECT_EQ(mode(), Encapsulate::cross_subnet);
    EXPECT_EQ(last_.settings.backend->value, Backend::vxlan);
    write("config.yaml",
          "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: calico-config}\ndata: {calico_backend: none}\n");
    EXPECT_TRUE(eventually([&] { return last_.settings.backend->value == Backend::none; }));
    EXPECT_THAT(last_.settings.backend->place, HasSubstr("ConfigMap calico-config (config.yaml:"));
}

TEST_F(DirectoryTest, is_idle_when_nothing_changes) {
    write("p.yaml", pool("p", "10.65.0.0/16"));
    start();
    const auto revision = last_.status.revision;
    write("notes.txt", "x");
    write("p.yaml", pool("p", "10.65.0.0/16"));
    eventually([] { return false; }, 500ms);
    EXPECT_LE(last_.status.revision, revision + 1);
}

TEST_F(DirectoryTest, with_a_link_to_itself_is_an_error_and_no_loop) {
    write("p.yaml", pool("p", "10.65.0.0/16"));
    fs::create_directory_symlink(path(), path("loop"));
    start();
    EXPECT_THAT(last_.status.trouble, HasSubstr("more than 8 deep"));
}

}  // namespace
}  // namespace weft
